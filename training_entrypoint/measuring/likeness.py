"""Likeness: the mean cosine of images to photos (CLIP-I and DINO of Ruiz et al. 2022,
arXiv:2208.12242), between two marks of its own: what the base draws, and what the photos are to
each other.

Features are unit vectors, (N, D). A row of NaN is an image with nothing to look at: left out.
"""

from __future__ import annotations

import torch
from torch import Tensor


def known(features: Tensor) -> Tensor:
    """Return the rows that are numbers."""
    return features[features.isfinite().all(dim=1)]


def to_photos(image: Tensor, photos: Tensor) -> float | None:
    """Return an image's mean cosine to photos, (D,) and (N, D); None if it, or all of them, show
    nothing."""
    photos = known(photos)
    if not len(photos) or not image.isfinite().all():
        return None
    return float((photos @ image).mean())


def ceiling(photos: Tensor) -> float | None:
    """Return the photos' mean cosine to each other; None of fewer than two."""
    others = between(photos)
    return None if others is None else float(others.nanmean())


def between(photos: Tensor) -> Tensor | None:
    """Return each photo's cosines to the others, (N, N) with NaN for itself; None of fewer than
    two."""
    photos = known(photos)
    if len(photos) < 2:
        return None
    cosines = photos @ photos.T
    return cosines.fill_diagonal_(torch.nan)


def mean(values: list[float | None]) -> float | None:
    """Return the mean of those that are there."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
