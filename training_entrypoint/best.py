"""The best weights so far, kept beside the checkpoints: what is exported need not be the last.

best-000280/trained.safetensors  the weights of step 280, of a moving average the average
best-000280/state.json           the step, whose training it is, and the digest of the weights

A checkpoint has all that training goes on from and is three times as large: this has no more than
an export needs, in the precision that is exported. There is one, but for the time until the next
checkpoint: a training that goes back to the last one has to find what was the best one there.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lensa.contract import TrainingConfig
from lensa.contract.names import digest
from training_entrypoint.checkpoints import read_whole, write_whole

_WEIGHTS = "trained.safetensors"


class Best:
    """Keeps weights by their step. `dtype`: what they are exported in; None: as they are."""

    def __init__(self, folder: Path, config: TrainingConfig, dtype: torch.dtype | None) -> None:
        self._folder, self._dtype = folder, dtype
        self._of = digest(config.identity())

    def keep(self, step: int, weights: dict[str, torch.Tensor]) -> None:
        """Write the weights of a step. Raises OSError or SafetensorError if that cannot be done."""
        kept = {
            name: weight.to(self._dtype or weight.dtype).cpu() for name, weight in weights.items()
        }
        write_whole(
            self._path(step),
            lambda into: save_file(kept, into / _WEIGHTS),
            {"step": step, "of": self._of},
        )

    def has(self, step: int) -> bool:
        """Whether a step's weights are there, whole and of this very training."""
        return read_whole(self._path(step)).get("of") == self._of

    def load(self, step: int) -> dict[str, torch.Tensor] | None:
        """Return a step's weights; None if they are not there, or not as they were written."""
        return load_file(self._path(step) / _WEIGHTS) if self.has(step) else None

    def drop_after(self, step: int) -> None:
        """Drop what lies behind a step that the training goes on from: another try wrote it."""
        self.drop_others([kept for kept in self._steps() if kept <= step])

    def drop_others(self, steps: Collection[int]) -> None:
        """Keep those of `steps` alone."""
        for step in self._steps():
            if step not in steps:
                shutil.rmtree(self._path(step), ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self._folder / f"best-{step:06d}"

    def _steps(self) -> list[int]:
        names = [path.name.removeprefix("best-") for path in self._folder.glob("best-*")]
        return [int(name) for name in names if name.isdigit()]
