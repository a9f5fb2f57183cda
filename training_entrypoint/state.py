"""All that the next step follows from, into a checkpoint and out of it.

The weights, the optimiser's moments, fp16's loss scale, the moving average, and the loss that the
watchdog began with. The schedule and every random number follow from the step itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from lensa.contract import TrainingConfig
from training_entrypoint import checkpoints
from training_entrypoint.ema import Average
from training_entrypoint.optimizers import load_optimizer
from training_entrypoint.trainable import Trainable
from training_entrypoint.watchdog import Watchdog


@dataclass(frozen=True)
class State:
    """The changing parts of a training."""

    trainable: Trainable
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    average: Average | None
    watchdog: Watchdog
    origin: checkpoints.Origin  # what it goes on from, beside the configuration

    def save(self, folder: Path, step: int, config: TrainingConfig) -> None:
        """Write the checkpoint of a step."""
        state: dict[str, Any] = {
            "optimizer": self.optimizer.state_dict(),
            "first_loss": self.watchdog.first,
        }
        if self.accelerator.scaler is not None:  # of fp16
            state["scaler"] = self.accelerator.scaler.state_dict()
        if self.average is not None:
            state["average"] = self.average.state()
        checkpoints.save(folder, step, config, self.trainable.state(), state, self.origin)

    def load(self, path: Path) -> None:
        """Put everything back as it was."""
        weights, state = checkpoints.load(path)
        self.trainable.load(weights)
        load_optimizer(self.optimizer, state["optimizer"])
        self.watchdog.first = state.get("first_loss")
        if self.accelerator.scaler is not None and "scaler" in state:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load(state["average"])
