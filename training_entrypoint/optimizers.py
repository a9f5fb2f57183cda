"""The optimiser, and the learning rate as a plain function of the step."""

from __future__ import annotations

from typing import Any

import torch

from lensa.contract import TrainingConfig
from training_entrypoint.trainable import Trainable


def make_optimizer(config: TrainingConfig, trainable: Trainable) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101), or its 8-bit form from bitsandbytes
    (Dettmers et al. 2021, arXiv:2110.02861), which keeps its two moments in a byte each."""
    options: dict[str, Any] = {"weight_decay": config.weight_decay, "betas": (0.9, 0.999)}
    if config.optimizer == "adamw8bit":
        import bitsandbytes  # late: it costs a second, and most runs on a CPU do without it

        return bitsandbytes.optim.AdamW8bit(trainable.groups(), **options)
    return torch.optim.AdamW(trainable.groups(), **options)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int) -> float:
    """Set the rate for optimiser step `step` (from 0): linear warm-up, then constant.

    A function of the step has no state that a checkpoint could lose.
    """
    factor = min(1.0, (step + 1) / (config.warmup_steps + 1))
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return config.learning_rate * factor
