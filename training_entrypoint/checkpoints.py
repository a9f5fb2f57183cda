"""Checkpoints: written whole, found again, refused if they belong to another training."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lensa.contract import TrainingConfig
from lensa.errors import ConfigError

_WEIGHTS, _OPTIMIZATION, _STATE = "trained.safetensors", "optimization.pt", "state.json"


def save(
    folder: Path,
    step: int,
    config: TrainingConfig,
    weights: dict[str, torch.Tensor],
    optimization: dict[str, Any],
) -> Path:
    """Write a checkpoint under a temporary name, then give it its own; drop the oldest ones."""
    final = folder / f"step-{step:06d}"
    partial = folder / f".step-{step:06d}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save_file(weights, partial / _WEIGHTS)
        with (partial / _OPTIMIZATION).open(
            "wb"
        ) as file:  # a path would hide that the disk is full
            torch.save(optimization, file)
        state = {
            "step": step,
            "config": config.model_dump(mode="json"),
            # A folder synced to S3 file by file is whole when these agree, not when it is there.
            "sha256": {name: _sha256(partial / name) for name in (_WEIGHTS, _OPTIMIZATION)},
        }
        (partial / _STATE).write_text(json.dumps(state))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in _all(folder)[: -config.checkpoints_kept]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def newest(folder: Path, config: TrainingConfig) -> tuple[int, Path] | None:
    """Return (step, folder) of the newest whole checkpoint, or None.

    Raises ConfigError if it was made by a training with another configuration.
    """
    for path in reversed(_all(folder)):
        try:
            state = json.loads((path / _STATE).read_text())
            whole = all(_sha256(path / name) == sha for name, sha in state["sha256"].items())
        except (OSError, ValueError, KeyError):
            continue
        if not whole:
            continue
        mine = config.model_dump(mode="json")
        odd = sorted(key for key in mine if mine[key] != state["config"].get(key))
        if odd:
            raise ConfigError(
                f"the checkpoint {path.name} belongs to another training (it differs in "
                f"{', '.join(odd)}): use the same configuration, or empty {folder}."
            )
        return int(state["step"]), path
    return None


def remove_all(folder: Path) -> None:
    """Drop every checkpoint: of a finished training, they are the larger part on disk."""
    for path in _all(folder):
        shutil.rmtree(path, ignore_errors=True)


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the weights and the state of the optimisation of a checkpoint."""
    optimization = torch.load(path / _OPTIMIZATION, map_location="cpu", weights_only=True)
    return load_file(path / _WEIGHTS), optimization


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
