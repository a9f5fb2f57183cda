"""An avatar as a pipeline of plain weights."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from inference_entrypoint.adapters import merge_lora
from inference_entrypoint.avatars import load_avatar


def merged(folder: Path, *, base: Path | None = None) -> DiffusionPipeline:
    """Return the pipeline of an avatar's folder with its LoRA, if it is one, merged in.

    In float32 on the CPU, whatever the base comes in: it is rounded once, when it is saved. `base`
    is a folder that holds the base already. Raises as `load_avatar` does.
    """
    avatar = load_avatar(folder, device="cpu", dtype=torch.float32, override=base)
    if avatar.manifest.config.method == "lora":
        merge_lora(avatar.pipeline)
    return avatar.pipeline
