"""Adapters side by side: in one batch, each image is drawn by its own.

A row's adapters become one low-rank pair: their ranks one behind the other, each one's scale in its
`up`. Every layer then multiplies its rows by their own pairs at once, so that many avatars cost
little more than one (the idea of Chen et al. 2023, Punica, arXiv:2310.18547), and no row ever
touches another's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from diffusers import DiffusionPipeline
from peft.tuners import lora
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from inference_entrypoint.adapters import adapted_layers, applied
from inference_entrypoint.families import family_of

Adapters = Mapping[str, float]  # by name, each with its scale


@contextmanager
def side_by_side(pipeline: DiffusionPipeline, rows: Sequence[Adapters]) -> Iterator[None]:
    """Let the denoiser draw row i of a batch by the adapters `rows[i]`, and no other.

    A batch may be a multiple of `len(rows)`: guidance draws them all twice. Where all rows use the
    same it is `applied`, to the last bit. Raises NotFoundError if an adapter is not in the
    pipeline; those that differ between rows have to be `mixable`.
    """
    shared = {
        name: scale
        for name, scale in rows[0].items()
        if all(row.get(name) == scale for row in rows)
    }
    own = [{name: scale for name, scale in row.items() if name not in shared} for row in rows]
    with applied(pipeline, shared):
        hooks = []
        try:
            if any(own):
                for layer in adapted_layers(family_of(pipeline).denoiser(pipeline)):
                    if any(name in layer.scaling for row in own for name in row):
                        hooks.append(layer.register_forward_hook(_adding(layer, own)))
            yield
        finally:
            for hook in hooks:
                hook.remove()


def mixable(pipeline: DiffusionPipeline, names: Collection[str]) -> bool:
    """Whether these adapters can stand beside others in one batch: plain ones beside linear layers.

    What a DoRA does depends on the weights that it stands beside, and a convolution has no product
    that takes each row by a matrix of its own.
    """
    return all(
        isinstance(layer, lora.Linear) and not layer.use_dora.get(name, False)
        for layer in adapted_layers(family_of(pipeline).denoiser(pipeline))
        for name in names
        if name in layer.scaling
    )


def _adding(
    layer: LoraLayer, rows: Sequence[Adapters]
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """Return a hook that adds to a layer's output what each row's adapters make of its input."""
    downs, ups = zip(*(_pair(layer, row) for row in rows), strict=True)
    down, up = _stacked(downs).transpose(1, 2), _stacked(ups)
    repeated = {1: (down, up)}

    def add(_: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        times = len(given[0]) // len(down)
        if times not in repeated:
            repeated[times] = (down.repeat(times, 1, 1), up.repeat(times, 1, 1))
        into, out_of = repeated[times]
        flat = given[0].to(down.dtype).flatten(1, -2)
        return made + torch.bmm(torch.bmm(flat, into), out_of).reshape(made.shape).to(made.dtype)

    return add


def _pair(layer: LoraLayer, adapters: Adapters) -> tuple[Tensor, Tensor]:
    """Return down [rank, in] and up [rank, out] of all of a row's adapters in this layer."""
    names = sorted(name for name, scale in adapters.items() if scale and name in layer.scaling)
    like = layer.base_layer.weight
    downs = [layer.lora_A[name].weight for name in names] or [like.new_zeros(0, like.shape[1])]
    ups = [
        layer.lora_B[name].weight * (layer.scaling[name] * adapters[name]) for name in names
    ] or [like.new_zeros(like.shape[0], 0)]
    return torch.cat(downs), torch.cat(ups, dim=1).T


def _stacked(pairs: Sequence[Tensor]) -> Tensor:
    """Return [rows, rank, width] of [rank, width] each, the smaller ranks filled up with zeros."""
    return nn.utils.rnn.pad_sequence(list(pairs), batch_first=True)
