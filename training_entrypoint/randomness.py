"""Every random number of a training is a function of (seed, purpose, index).

There is no generator whose state would have to be saved: step k draws the same noise whether the
job ran straight to it or was interrupted on the way, so a resumed training is bit-identical.
"""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, purpose: str, index: int) -> torch.Generator:
    """Return a CPU generator for draw `index` of `purpose`."""
    return torch.Generator().manual_seed(_number(seed, purpose, index))


def seed_everything(seed: int, purpose: str, index: int) -> None:
    """Set the global generators too, for what a base draws from them by itself: its dropout."""
    torch.manual_seed(_number(seed, purpose, index))


def _number(seed: int, purpose: str, index: int) -> int:
    key = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(key[:8], "big") >> 1


def shuffled(seed: int, purpose: str, size: int, start: int, count: int) -> list[int]:
    """Return places `start` to `start + count` of an endless sequence of shuffled epochs.

    Each epoch is a permutation of `range(size)`: every photo is seen equally often.
    """
    picks: list[int] = []
    for place in range(start, start + count):
        epoch, offset = divmod(place, size)
        order = torch.randperm(size, generator=generator(seed, purpose, epoch))
        picks.append(int(order[offset]))
    return picks
