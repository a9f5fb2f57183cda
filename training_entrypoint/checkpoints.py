"""Checkpoints: written whole, found again, refused if they belong to another training.

step-000200/trained.safetensors  what is trained
step-000200/optimization.pt      all else that the next step follows from
step-000200/state.json           the step, the configuration, what the base was, and the digests of
                                 the two

The best weights so far lie beside them: see training_entrypoint.best.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lensa.contract import TrainingConfig
from lensa.errors import ConfigError

Origin = dict[str, str]  # "base" and, of another one than the base's, "VAE": their revisions

_WEIGHTS, _OPTIMIZATION, _STATE = "trained.safetensors", "optimization.pt", "state.json"


def save(
    folder: Path,
    step: int,
    config: TrainingConfig,
    weights: dict[str, torch.Tensor],
    optimization: dict[str, Any],
    origin: Origin | None = None,
) -> Path:
    """Write a checkpoint under a temporary name, then give it its own; drop the oldest ones.

    It is on the disk itself before one that it replaces is dropped. Raises OSError, and leaves the
    others as they were, if it cannot be written.
    """
    final = folder / f"step-{step:06d}"

    def write(into: Path) -> None:
        save_file(weights, into / _WEIGHTS)
        with (into / _OPTIMIZATION).open("wb") as file:  # a path would hide that the disk is full
            torch.save(optimization, file)

    write_whole(
        final, write, {"step": step, "config": config.model_dump(mode="json"), "origin": origin}
    )
    # What is newer than this one was passed over: it is damaged, and counts for nothing.
    every = _all(folder)
    kept = [path for path in every if path.name <= final.name][-config.checkpoints_kept :]
    for old in {*every} - {*kept}:
        shutil.rmtree(old, ignore_errors=True)
    return final


def newest(
    folder: Path, config: TrainingConfig, say: Callable[[str], None] = lambda message: None
) -> tuple[int, Path] | None:
    """Return (step, folder) of the newest whole checkpoint, or None.

    `say` is told of each that had to be passed over. Raises ConfigError if the checkpoint was made
    by a training with another configuration.
    """
    for path in reversed(_all(folder)):
        state = read_whole(path)
        try:
            step, theirs = int(state["step"]), state["config"]
        except (KeyError, TypeError, ValueError):
            say(f"the checkpoint {path.name} is damaged or incomplete: the one before it is used.")
            continue
        _check_same(path, config, theirs)
        return step, path
    return None


def check_origin(folder: Path, origin: Origin) -> None:
    """Raise ConfigError if a checkpoint was made upon another base or VAE than those that are there
    now under the same name. One from before this was written down is accepted."""
    for path in _all(folder):
        try:
            theirs = dict(json.loads((path / _STATE).read_text())["origin"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        odd = [
            f"the {what} was {theirs[what]} and is {revision}"
            for what, revision in origin.items()
            if theirs.get(what, revision) != revision
        ]
        if odd:
            raise ConfigError(
                f"the checkpoint {path.name} belongs to other weights: {', '.join(odd)}. Put "
                f"those back, or empty {folder} to begin anew."
            )


def drop(folder: Path, step: int) -> None:
    """Drop the checkpoint of a step, if there is one: it is not worth going back to."""
    shutil.rmtree(folder / f"step-{step:06d}", ignore_errors=True)


def remove_all(folder: Path) -> None:
    """Drop every checkpoint: of a finished training, they are the larger part on disk."""
    for path in (*_all(folder), *folder.glob("best-*")):
        shutil.rmtree(path, ignore_errors=True)


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the weights and the state of the optimisation of a checkpoint."""
    optimization = torch.load(path / _OPTIMIZATION, map_location="cpu", weights_only=True)
    return load_file(path / _WEIGHTS), optimization


def write_whole(final: Path, write: Callable[[Path], None], state: dict[str, Any]) -> None:
    """Write a folder's files and, behind them, its state with their digests, under a temporary
    name; then give it its own. Raises OSError, and leaves nothing, if that cannot be done."""
    folder, partial = final.parent, final.parent / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write(partial)
        # A folder synced to S3 file by file is whole when these agree, not when it is there.
        sha256 = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
        (partial / _STATE).write_text(json.dumps(state | {"sha256": sha256}))
        for path in (*partial.iterdir(), partial):
            to_disk(path)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        to_disk(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read_whole(path: Path) -> dict[str, Any]:
    """Return the state of a folder; nothing, if it is not as it was written."""
    try:
        state: dict[str, Any] = json.loads((path / _STATE).read_text())
        digests = state["sha256"]
        whole = bool(digests) and all(
            _sha256(path / name) == digest for name, digest in digests.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return state if whole else {}


def steps_kept(folder: Path) -> list[int]:
    """Return the steps of the checkpoints that are there."""
    names = [path.name.removeprefix("step-") for path in _all(folder)]
    return [int(name) for name in names if name.isdigit()]


def to_disk(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk and not in a cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_same(path: Path, config: TrainingConfig, theirs: dict[str, Any]) -> None:
    """Raise ConfigError naming each field in which the checkpoint's training differs."""
    # What a job's name is made of: a field that came later was at its default then.
    mine, then = config.identity(), TrainingConfig.model_validate(theirs).identity()
    unset = {name: field.default for name, field in TrainingConfig.model_fields.items()}
    odd = [
        f"{name} was {then.get(name, unset[name])!r} and is {mine.get(name, unset[name])!r}"
        for name in sorted(mine.keys() | then.keys())
        if mine.get(name) != then.get(name)
    ]
    if odd:
        raise ConfigError(
            f"the checkpoint {path.name} belongs to another training: {', '.join(odd)}. "
            f"Use the same configuration, or empty {path.parent}."
        )


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
