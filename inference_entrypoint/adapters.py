"""A LoRA into a pipeline, with every key accounted for.

The libraries load what matches, draw what is missing at random, and log a line. Here the names and
shapes that the file must have follow from the base model and the training's configuration, and the
numbers are compared once they are in place.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import nn

from inference_entrypoint.families import family_of
from inference_entrypoint.quiet import no_bars
from lensa.contract import TrainingConfig
from lensa.errors import ArtifactError

LORA_FILE = "pytorch_lora_weights.safetensors"
ADAPTER = "subject"

Shapes = dict[str, tuple[int, ...]]


def load_lora(pipeline: DiffusionPipeline, file: Path, config: TrainingConfig) -> None:
    """Load a LoRA in diffusers' form beside the layers that the training put it beside.

    Raises ArtifactError if a key is missing, unknown or of another shape, or the scale is not
    the one that it was trained with.
    """
    compare(file.name, tensor_shapes(file), expected_shapes(pipeline, config))
    no_bars()
    pipeline.load_lora_weights(
        file.parent,
        weight_name=file.name,
        adapter_name=ADAPTER,
        use_safetensors=True,
        local_files_only=True,
    )
    _check_values(pipeline, file, config)


def expected_shapes(pipeline: DiffusionPipeline, config: TrainingConfig) -> Shapes:
    """Return the name and shape of every tensor that a LoRA of this training has."""
    family = family_of(pipeline)
    shapes: Shapes = {}
    for part in trained_parts(config):
        targets = tuple("." + target for target in family.lora_targets[part])
        for name, layer in family.parts(pipeline)[part].named_modules():
            if isinstance(layer, nn.Linear) and name.endswith(targets):
                shapes[f"{part}.{name}.lora_A.weight"] = (config.lora_rank, layer.in_features)
                shapes[f"{part}.{name}.lora_B.weight"] = (layer.out_features, config.lora_rank)
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


def _check_values(pipeline: DiffusionPipeline, file: Path, config: TrainingConfig) -> None:
    """Hold what is in the pipeline against what is in the file."""
    scale = (config.lora_alpha or config.lora_rank) / config.lora_rank
    parts = family_of(pipeline).parts(pipeline)
    with safe_open(file, "pt") as tensors:
        for part in trained_parts(config):
            for name, loaded in _adapter(parts[part]).items():
                saved = tensors.get_tensor(f"{part}.{name}")
                if not torch.equal(loaded.cpu(), saved.to(loaded.dtype)):
                    raise ArtifactError(f"{file.name}: {part}.{name} was not loaded.")
            for name, layer in parts[part].named_modules():
                if isinstance(layer, LoraLayer) and abs(layer.scaling[ADAPTER] - scale) > 1e-6:
                    raise ArtifactError(
                        f"{file.name}: {part}.{name} is scaled by {layer.scaling[ADAPTER]:g}, "
                        f"trained with {scale:g}: its metadata does not match the manifest."
                    )


def _adapter(part: nn.Module) -> dict[str, torch.Tensor]:
    """Return the adapter's parameters under the names that they have in its file."""
    return {
        name.replace(f".{ADAPTER}.", "."): parameter.detach()
        for name, parameter in part.named_parameters()
        if f".{ADAPTER}." in name
    }
