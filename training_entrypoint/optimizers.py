"""The optimiser, and the learning rate as a plain function of the step."""

from __future__ import annotations

import io
import math
from contextlib import redirect_stdout
from typing import Any

import torch

from inference_entrypoint.unused import bring_back
from lensa.contract import TrainingConfig
from training_entrypoint.trainable import Trainable


def make_optimizer(config: TrainingConfig, trainable: Trainable) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101), its 8-bit form from bitsandbytes
    (Dettmers et al. 2021, arXiv:2110.02861), which keeps its two moments in a byte each, or
    Prodigy (Mishchenko & Defazio 2023, arXiv:2306.06101), which finds the learning rate."""
    options: dict[str, Any] = {"weight_decay": config.weight_decay, "betas": (0.9, 0.999)}
    groups = trainable.groups()
    if config.optimizer == "adamw8bit":
        bring_back("bitsandbytes")
        import bitsandbytes  # late: it costs a second, and most runs on a CPU do without it

        return bitsandbytes.optim.AdamW8bit(groups, **options)
    if config.optimizer == "prodigy":
        from prodigyopt import Prodigy

        for group in groups:
            group["lr"] = group["base_lr"] = 1.0  # a factor of the rate that it finds
        with redirect_stdout(io.StringIO()):  # it prints a line, and stdout is for events
            return Prodigy(groups, **options, use_bias_correction=True, safeguard_warmup=True)
    # Fused: one pass over the memory in place of a dozen, and no wait for the GPU.
    return torch.optim.AdamW(groups, **options, fused=True)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put an optimiser's state back; how it computes stays as it was made."""
    for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        if "fused" in own:
            saved["fused"] = own["fused"]  # before: it decides where the count of steps lies
    optimizer.load_state_dict(state)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int, factor: float = 1.0
) -> float:
    """Set the rate for optimiser step `step` (from 0), and return the UNet's.

    A function of the step has no state that a checkpoint could lose.
    """
    factor *= schedule(config, step)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    first = optimizer.param_groups[0]
    return first["lr"] * first.get("d", 1.0)  # d: what Prodigy has found so far


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return the learning rates in force: the UNet's, and the text encoder's if it is trained."""
    names = ("learning_rate", "text_encoder_learning_rate")
    groups = optimizer.param_groups
    return {
        name: group["lr"] * group.get("d", 1.0) for name, group in zip(names, groups, strict=False)
    }


def schedule(config: TrainingConfig, step: int) -> float:
    """Return the share of the learning rate at a step: up in a line to 1, then by its curve, which
    would reach 0 at `config.steps`."""
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    left = 1 - (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    match config.learning_rate_schedule:
        case "constant":
            return 1.0
        case "linear":
            return left
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * (1 - left)))
        case "polynomial":
            return left**2
