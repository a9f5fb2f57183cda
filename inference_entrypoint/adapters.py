"""LoRAs beside the layers of a pipeline: loaded with every key accounted for, chosen for a moment,
dropped without a trace.

The libraries load what matches, draw what is missing at random, and log a line. Here the names and
shapes that a file must have follow from the base model and the training's configuration, and its
tensors are put in place one by one. In a layer the adapters that are in use are summed (Hu et al.
2021, arXiv:2106.09685); those that are not cost nothing but their memory. A DoRA (Liu et al. 2024,
arXiv:2402.09353) has the norms of the layer's weights beside, and sets them anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from peft.tuners import lora
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from inference_entrypoint.families import family_of
from lensa.contract import TrainingConfig
from lensa.errors import ArtifactError, NotFoundError, suggest

LORA_FILE = "pytorch_lora_weights.safetensors"
ADAPTER = "subject"
_MAGNITUDE = "lora_magnitude_vector"

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class LowRank:
    """What one layer is given: `alpha` / rank times up(down(x)) is added to what it puts out.

    With a `magnitude` (DoRA) the sum is then scaled, so that each row of the layer's weights
    together with the adapter's has that norm.
    """

    down: Tensor  # [rank, in], of a convolution [rank, in, height, width]
    up: Tensor  # [out, rank], of a convolution [out, rank, 1, 1]
    alpha: float
    magnitude: Tensor | None = None  # [out], of a convolution [1, out, 1, 1]


def load_lora(
    pipeline: DiffusionPipeline, file: Path, config: TrainingConfig, name: str = ADAPTER
) -> None:
    """Load a LoRA in diffusers' form beside the layers that the training put it beside.

    The first adapter of a pipeline is in use from then on, further ones wait for `applied`. One of
    the same name is dropped before.

    Raises ArtifactError if a key is missing, unknown or of another shape, or the scale is not
    the one that it was trained with.
    """
    compare(file.name, tensor_shapes(file), expected_shapes(pipeline, config))
    rank, alpha = config.lora_rank, config.lora_alpha or config.lora_rank
    for part in trained_parts(config):
        _check_scale(file, part, alpha / rank)
    drop_lora(pipeline, name)
    with safe_open(file, "pt") as tensors:
        keys = sorted(tensors.keys())

        def read(key: str) -> Tensor:
            return tensors.get_tensor(key).clone()  # it may lie in the file, which may change

        for part in trained_parts(config):
            paths = [key.split(".lora_")[0] for key in keys if key.startswith(f"{part}.")]
            layers = {
                path.removeprefix(f"{part}."): LowRank(
                    read(f"{path}.lora_A.weight"),
                    read(f"{path}.lora_B.weight"),
                    alpha,
                    read(f"{path}.{_MAGNITUDE}") if config.dora else None,
                )
                for path in dict.fromkeys(paths)
            }
            insert(pipeline, part, layers, name)


def drop_lora(pipeline: DiffusionPipeline, name: str) -> None:
    """Take an adapter out of the pipeline; of no effect if it is not there.

    Layers that had no other one are again the base's own.
    """
    for part in family_of(pipeline).parts(pipeline).values():
        for path, layer in _adapted(part):
            # peft would put another adapter to use in its place, and train it.
            layer._active_adapter = [other for other in layer.active_adapters if other != name]
            layer.delete_adapter(name)
            leftovers = (layer.use_dora, layer.use_rslora, layer.lora_bias, layer.lora_variant)
            for leftover in leftovers:
                leftover.pop(name, None)
            if not layer.scaling:
                part.set_submodule(path, layer.base_layer)
        configs = getattr(part, "peft_config", {})
        configs.pop(name, None)
        if not configs and getattr(part, "_hf_peft_config_loaded", False):
            del part.peft_config
            part._hf_peft_config_loaded = False


@contextmanager
def applied(pipeline: DiffusionPipeline, scales: Mapping[str, float]) -> Iterator[None]:
    """Use these adapters at these scales, and no other; afterwards all is as it was.

    They are summed in the order of their names, so that the sum does not depend on who came first.
    A scale of a DoRA is of its low-rank part, as peft has it: the norms that it learned stay in
    force, at any scale but 0, and scale what adapters before it have added too.

    Raises NotFoundError if one of them is not in the pipeline.
    """
    layers = _all_adapted(pipeline)
    known = {name for layer in layers for name in layer.scaling}
    for name in scales:
        if name not in known:
            raise NotFoundError(f"No adapter {name!r} is loaded.{suggest(name, known)}")
    chosen = sorted(name for name, scale in scales.items() if scale)
    # Through attributes: `set_adapter` of peft changes which parameters require gradients.
    before = [(layer._active_adapter, layer._disable_adapters, layer.scaling) for layer in layers]
    try:
        for layer in layers:
            mine = [name for name in chosen if name in layer.scaling]
            layer._active_adapter, layer._disable_adapters = mine, False
            layer.scaling = {
                **layer.scaling,
                **{name: layer.scaling[name] * scales[name] for name in mine},
            }
        yield
    finally:
        for layer, state in zip(layers, before, strict=True):
            layer._active_adapter, layer._disable_adapters, layer.scaling = state


def in_use(pipeline: DiffusionPipeline) -> list[str]:
    """Return the names of the adapters that take part in drawing, sorted."""
    return sorted(
        {
            name
            for layer in _all_adapted(pipeline)
            if not layer.disable_adapters
            for name in layer.active_adapters
            if name in layer.scaling
        }
    )


def insert(
    pipeline: DiffusionPipeline,
    part: str,
    layers: Mapping[str, LowRank],
    name: str,
    *,
    waiting: bool = False,
) -> None:
    """Put an adapter beside layers of one part, by their names there.

    The first one in a pipeline is in use at once, unless it is `waiting` for `applied` as all
    others do. The layers must exist and the shapes fit. No random number is drawn. What fails
    half-way (the GPU's memory is full) is taken out again, from all parts.
    """
    module = family_of(pipeline).parts(pipeline)[part]
    others = {other for layer in _all_adapted(pipeline) for other in layer.scaling} - {name}
    using = in_use(pipeline) if others or waiting else [name]
    try:
        for path, given in layers.items():
            _put(module, path, given, name, using)
    except BaseException:
        drop_lora(pipeline, name)
        raise


def expected_shapes(pipeline: DiffusionPipeline, config: TrainingConfig) -> Shapes:
    """Return the name and shape of every tensor that a LoRA of this training has."""
    family = family_of(pipeline)
    shapes: Shapes = {}
    for part in trained_parts(config):
        ends = tuple("." + end for end in family.lora_targets[config.lora_targets][part])
        for name, module in family.parts(pipeline)[part].named_modules():
            layer = module.base_layer if isinstance(module, LoraLayer) else module
            if isinstance(layer, nn.Linear | nn.Conv2d) and name.endswith(ends):
                size = tuple(layer.weight.shape)
                point = (1,) * (len(size) - 2)  # of a convolution
                shapes[f"{part}.{name}.lora_A.weight"] = (config.lora_rank, *size[1:])
                shapes[f"{part}.{name}.lora_B.weight"] = (size[0], config.lora_rank, *point)
                if config.dora:
                    norms = (1, size[0], *point) if point else (size[0],)
                    shapes[f"{part}.{name}.{_MAGNITUDE}"] = norms
    return shapes


def trained_parts(config: TrainingConfig) -> tuple[str, ...]:
    """Return the parts of the pipeline that a training changed."""
    return ("unet", "text_encoder") if config.train_text_encoder else ("unet",)


def tensor_shapes(file: Path) -> Shapes:
    """Return the name and shape of every tensor in a safetensors file."""
    try:
        with safe_open(file, "pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{file.name} is not a whole safetensors file: {error}") from None


def compare(where: str, found: Shapes, expected: Shapes) -> None:
    """Raise ArtifactError naming the first difference of each kind."""
    wrong = sorted(k for k in found.keys() & expected.keys() if found[k] != expected[k])
    problems = [
        f"{len(names)} {what}, such as {names[0]}{detail}"
        for names, what, detail in (
            (sorted(found.keys() - expected.keys()), "weights belong to no layer of the base", ""),
            (sorted(expected.keys() - found.keys()), "weights are missing", ""),
            (
                wrong,
                "weights have another shape",
                f" {found[wrong[0]]} instead of {expected[wrong[0]]}" if wrong else "",
            ),
        )
        if names
    ]
    if problems:
        raise ArtifactError(f"{where} does not fit its base model: {'; '.join(problems)}.")


def _check_scale(file: Path, part: str, scale: float) -> None:
    """Hold the scale in the file's metadata against the one that it was trained with.

    Other programs go by the metadata, and take 1 where there is none.
    """
    with safe_open(file, "pt") as tensors:
        text = (tensors.metadata() or {}).get("lora_adapter_metadata", "{}")
    try:
        said: dict[str, Any] = json.loads(text)
        found = float(said.get(f"{part}.lora_alpha", 1)) / float(said.get(f"{part}.r", 1))
    except (ValueError, TypeError, AttributeError, ZeroDivisionError, RecursionError):
        raise ArtifactError(f"{file.name}: its metadata cannot be read.") from None
    if not abs(found - scale) <= 1e-6:  # a NaN is no match either
        raise ArtifactError(
            f"{file.name}: {part} is scaled by {found:g}, trained with {scale:g}: "
            "its metadata does not match the manifest."
        )


def _put(module: nn.Module, path: str, given: LowRank, name: str, using: list[str]) -> None:
    """Put one layer's weights in place, frozen, in the base layer's precision."""
    layer = module.get_submodule(path)
    settings = {
        "r": given.down.shape[0],
        "lora_alpha": given.alpha,
        "lora_dropout": 0.0,
        "init_lora_weights": False,
        "use_rslora": False,
        "use_dora": given.magnitude is not None,
        "lora_bias": False,
    }
    with torch.device("meta"):  # peft's layers begin with random numbers, the global generator's
        if isinstance(layer, LoraLayer):
            kept = {parameter: parameter.requires_grad for parameter in layer.parameters()}
            layer.update_layer(name, **settings)
            for parameter, flag in kept.items():
                parameter.requires_grad_(flag)
        else:
            kind = lora.Conv2d if isinstance(layer, nn.Conv2d) else lora.Linear
            base, layer = layer, kind(layer, name, **settings)
            layer.train(base.training)
            layer._active_adapter = list(using)
            module.set_submodule(path, layer)
    like = layer.base_layer.weight
    for side, tensor in ((layer.lora_A, given.down), (layer.lora_B, given.up)):
        side[name].weight = _frozen(tensor, like)
    if given.magnitude is not None:
        layer.lora_magnitude_vector[name].weight = _frozen(given.magnitude, like)


def _frozen(tensor: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.to(like.device, like.dtype).contiguous(), requires_grad=False)


def _adapted(module: nn.Module) -> list[tuple[str, LoraLayer]]:
    """Return the layers with adapters beside them, by name.

    It runs for every request, and does not look into them: with many adapters most modules of a
    network are theirs.
    """
    found: list[tuple[str, LoraLayer]] = []
    waiting = [("", module)]
    while waiting:
        path, parent = waiting.pop()
        for name, child in parent._modules.items():
            if isinstance(child, LoraLayer):
                found.append((path + name, child))
            elif child is not None and child._modules:
                waiting.append((f"{path}{name}.", child))
    return found


def _all_adapted(pipeline: DiffusionPipeline) -> list[LoraLayer]:
    parts = family_of(pipeline).parts(pipeline).values()
    return [layer for part in parts for _, layer in _adapted(part)]
