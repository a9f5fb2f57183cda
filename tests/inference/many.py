"""Avatars by number: each with weights of its own, all on `micro`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from making import config, make_avatar, write_manifest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

LORA = "pytorch_lora_weights.safetensors"


def id_of(number: int) -> str:
    return f"lensa-7k2m0000-{number:08x}"


def numbered(folder: Path, number: int, **changes: Any) -> Path:
    """Write avatar `number`; `changes` are fields of TrainingConfig."""
    folder.mkdir(parents=True, exist_ok=True)
    make_avatar(folder, **changes)
    return renumber(folder, number, **changes)


def renumber(folder: Path, number: int, **changes: Any) -> Path:
    """Make another avatar of one: other weights, another id."""
    with safe_open(folder / LORA, "pt") as opened:
        metadata = opened.metadata()
    source = torch.Generator().manual_seed(number)
    tensors = {
        name: 0.3 * torch.randn(tensor.shape, generator=source)
        for name, tensor in sorted(load_file(folder / LORA).items())
    }
    save_file(tensors, folder / LORA, metadata=metadata)
    write_manifest(folder, config(**changes), avatar=id_of(number))
    return folder
