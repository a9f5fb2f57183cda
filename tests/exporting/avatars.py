"""Avatars that were changed by chance: what is exported has to be theirs, whatever it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.making import CPU, draw, make_avatar, micro
from PIL import Image

from inference_entrypoint.avatars import load_avatar


def made(parent: Path, **changes: Any) -> tuple[Path, Image.Image]:
    """Make an avatar on `micro`; return its folder, inside `parent`, and what it draws.

    `changes` are fields of TrainingConfig.
    """
    folder = make_avatar(parent / "avatar", **changes)
    return folder, draw(load_avatar(folder, **CPU).pipeline).images[0]


def settings_folder(parent: Path) -> Path:
    """Return a diffusers folder of `micro` without weights: what a checkpoint does not say."""
    folder = parent / "settings"
    micro().save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return folder
