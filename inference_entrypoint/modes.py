"""A pipeline lent to drawing, and given back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers import DiffusionPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from inference_entrypoint.families import family_of


@contextmanager
def evaluating(pipeline: DiffusionPipeline) -> Iterator[None]:
    """Dropout and checkpointing off; afterwards every layer is in the mode it was in."""
    parts = family_of(pipeline).parts(pipeline).values()
    modes = {layer: layer.training for part in parts for layer in part.modules()}
    for part in parts:
        part.eval()
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def adapter_layers(pipeline: DiffusionPipeline) -> list[nn.Module]:
    """Return the layers that an adapter sits beside."""
    return [
        layer
        for part in family_of(pipeline).parts(pipeline).values()
        for layer in part.modules()
        if isinstance(layer, BaseTunerLayer)
    ]


@contextmanager
def scaled(pipeline: DiffusionPipeline, scale: float) -> Iterator[list[str]]:
    """Multiply every adapter inside by `scale`; yields what the user should know about it.

    `set_adapters` of diffusers would do it too, and change which parameters require gradients.
    """
    layers = adapter_layers(pipeline)
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scale_layer(scale)
    try:
        if layers or scale == 1:
            yield []
        else:
            yield ["adapter_scale: has no effect, the subject is in this model's own weights."]
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            layer.scaling.update(scaling)
