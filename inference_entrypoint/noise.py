"""The starting noise of image i, which depends on (seed, i) and on nothing else."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator_of(seed: int, index: int, purpose: str = "image") -> torch.Generator:
    """Return image i's own random numbers: on the CPU, the same for every device.

    Each purpose has its own: what is drawn into an image is not made of the image's noise.
    """
    digest = hashlib.sha256(f"lensa {purpose} {seed} {index}".encode()).digest()
    # The Mersenne twister of torch takes 32 bits of a seed and drops the rest.
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


def starting_noise(generator: torch.Generator, shape: tuple[int, int, int]) -> Tensor:
    """Return the first draw: float32 noise [channels, rows, columns] of unit variance.

    The generator goes on from there: a stochastic scheduler takes its noise from it.
    """
    return torch.randn(shape, generator=generator, dtype=torch.float32)
