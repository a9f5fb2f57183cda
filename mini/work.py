"""Where the recipe keeps its intermediate files, written so that none is ever half."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

WORK = Path(os.environ.get("MINI_WORK", Path(__file__).parent / "work"))


def work_path(name: str) -> Path:
    """`name` in the work folder, which is made if need be."""
    WORK.mkdir(parents=True, exist_ok=True)
    return WORK / name


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """`torch.save` through a sibling file: a reader sees the old checkpoint or the new one."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


class EMA:
    """Exponential moving average of parameters, ramped up so that the start is soon forgotten."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], decay: float = 0.999) -> None:
        self.shadow = [p.detach().clone().float() for p in parameters]
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.shadow, [p.detach().float() for p in parameters], 1 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        for shadow, parameter in zip(self.shadow, parameters, strict=True):
            parameter.copy_(shadow)
