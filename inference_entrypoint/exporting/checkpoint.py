"""The whole model in one file, as Stable Diffusion 1 was first published."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

from inference_entrypoint.exporting.describing import modelspec
from inference_entrypoint.exporting.layout import ldm_tensors
from inference_entrypoint.exporting.writing import in_precision, need_space, total_bytes, whole
from lensa.contract import AvatarManifest
from lensa.contract.exports import ExportPrecision

_SD15 = ((320, 640, 1280, 1280), 2, 768)  # channels, layers a block, width of the text encoder


def save_checkpoint(
    pipeline: StableDiffusionPipeline,
    target: Path,
    *,
    manifest: AvatarManifest,
    precision: ExportPrecision = "fp16",
    pickled: bool = False,
    force: bool = False,
) -> list[str]:
    """Write UNet, VAE and text encoder of a pipeline without adapters, and return what its user has
    to know.

    `pickled` writes a .ckpt: a pickle of tensors alone, so that weights-only loading reads it.
    Raises ArtifactError, StorageError.
    """
    metadata = modelspec(manifest, "stable-diffusion-v1")
    tensors = in_precision(ldm_tensors(pipeline), precision)
    with whole(target, force=force) as partial:
        need_space(target, total_bytes(tensors))
        if pickled:
            _save_pickled(tensors, partial)
        else:
            save_file(tensors, partial, metadata={"format": "pt", **metadata})
    return _notes(pipeline)


def _save_pickled(tensors: dict[str, Tensor], file: Path) -> None:
    with file.open("wb") as stream:  # a path would hide that the disk is full
        torch.save({"state_dict": tensors}, stream)


def _notes(pipeline: StableDiffusionPipeline) -> list[str]:
    """What the layout cannot say, and readers take from elsewhere."""
    notes = []
    unet, encoder = pipeline.unet.config, pipeline.text_encoder.config
    size = (tuple(unet.block_out_channels), unet.layers_per_block, encoder.hidden_size)
    if size != _SD15:
        notes.append(
            "its networks have another size than Stable Diffusion 1.5's, which AUTOMATIC1111 and "
            "ComfyUI take for granted: only diffusers opens it, told the base's configuration."
        )
    kind = pipeline.scheduler.config.get("prediction_type", "epsilon")
    if kind != "epsilon":
        notes.append(
            f"its base predicts {kind} instead of the noise, which a checkpoint of version 1 does "
            "not say: the program that opens it has to be told."
        )
    return notes
