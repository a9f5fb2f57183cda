"""Telling people apart: which pictures are of one person, and the loss that learns it."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

from mini.attributes import IDENTITY_FIELDS, VALUES

IDENTITY_COLUMNS = [list(VALUES).index(name) for name in IDENTITY_FIELDS]
TEMPERATURE = 0.1


def persons(labels: np.ndarray) -> np.ndarray:
    """A number for each picture's person (N,), from rows of labels (N, attributes)."""
    return np.unique(labels[:, IDENTITY_COLUMNS], axis=0, return_inverse=True)[1].reshape(-1)


def pictures_of(who: np.ndarray) -> dict[int, list[int]]:
    """The pictures of each person."""
    found: dict[int, list[int]] = defaultdict(list)
    for index, person in enumerate(who.tolist()):
        found[person].append(index)
    return found


def draw_pairs(
    rng: random.Random, who: np.ndarray, pictures: dict[int, list[int]], count: int
) -> tuple[list[int], list[int]]:
    """`count` pictures at random, and for each another one of the same person (itself if alone)."""
    first = [rng.randrange(len(who)) for _ in range(count)]
    second = []
    for index in first:
        others = [other for other in pictures[int(who[index])] if other != index]
        second.append(rng.choice(others or [index]))
    return first, second


def between(rows: torch.Tensor, columns: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) in both directions of two batches (N, D)
    of unit vectors, one of them scaled.

    `same` (N, N) is true where row and column belong together: beside the diagonal such pairs are
    no negatives.
    """
    logits = rows @ columns.T
    others = same & ~torch.eye(len(same), dtype=torch.bool)
    logits = logits.masked_fill(others, -torch.inf)
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def person_loss(features: torch.Tensor, who: np.ndarray) -> torch.Tensor:
    """`between` the halves of a batch of unit vectors (2N, D); `who` (N,) numbers the people."""
    person = torch.from_numpy(who)
    ours, theirs = features.split(len(who))
    return between(ours / TEMPERATURE, theirs, person[:, None] == person[None])
