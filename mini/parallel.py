"""Data-parallel training on a CPU: a few processes of one thread each, gradients averaged by gloo.

On small models two processes of one thread beat one process of two threads by far (thread
start-up costs more than the arithmetic). With one process everything here is a no-op, and on a
GPU one process is all there is.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def launch(worker: Callable[..., None], processes: int, *args: Any) -> None:
    """Runs `worker(rank, processes, *args)` in each of `processes` processes, joined by gloo."""
    if processes == 1:
        worker(0, 1, *args)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(_join, args=(worker, processes, port, args), nprocs=processes)


def _join(rank: int, worker: Callable[..., None], processes: int, port: int, args: Any) -> None:
    torch.set_num_threads(1)
    _end_with_parent()
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes
    )
    worker(rank, processes, *args)
    dist.destroy_process_group()


def _end_with_parent() -> None:
    """A killed command must not leave workers behind that train on for nobody."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Gradients:
    """All gradients of `parameters` as views into one flat tensor: no copies to gather them.

    They travel between processes in bfloat16, which halves the traffic; rounding a gradient to
    eight bits is far below its own noise.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], processes: int) -> None:
        self.flat = torch.zeros(sum(p.numel() for p in parameters))
        self.processes = processes
        for p, part in zip(
            parameters, self.flat.split([p.numel() for p in parameters]), strict=True
        ):
            p.grad = part.view_as(p)

    def average(self, *, clip: float) -> None:
        """Replaces the gradients by their mean over the processes, at most `clip` long."""
        if self.processes > 1:
            half = self.flat.bfloat16()
            dist.all_reduce(half)
            self.flat.copy_(half).div_(self.processes)
        self.flat.mul_((clip / (self.flat.norm() + 1e-6)).clamp_max(1.0))

    def zero(self) -> None:
        self.flat.zero_()


@dataclass
class Budget:
    """How long to train: a number of minutes or of steps; `progress` runs from 0 to 1.

    Minutes already spent before an interruption count (`spent`), so a resumed run ends when the
    uninterrupted one would have. Rank 0's clock decides for all.
    """

    minutes: float | None
    steps: int | None
    spent: float = 0.0  # seconds

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either --minutes or --steps")
        self.started = time.monotonic()

    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.started

    def progress(self, step: int, processes: int) -> float:
        if self.steps is not None:
            return min(1.0, step / self.steps)
        now = torch.tensor(self.seconds() / (self.minutes * 60))  # type: ignore[operator]
        if processes > 1:
            dist.broadcast(now, 0)
        return min(1.0, now.item())


def cosine(progress: float, peak: float, *, warmup: float = 0.02, floor: float = 0.01) -> float:
    """Learning rate: linear warm-up over a share of the budget, then half a cosine to the floor."""
    if progress < warmup:
        return peak * max(progress / warmup, 0.01)
    turn = (progress - warmup) / (1 - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * turn)))
