"""Memorisation: whether an image is one of the photos again (Carlini et al. 2023,
arXiv:2301.13188, compare with the distances among what was learned from).

A distance is 1 - cosine.
"""

from __future__ import annotations

from torch import Tensor

from training_entrypoint.measuring.likeness import between, known

_LEAST, _MOST = 1e-4, 100.0  # a distance that is none, and a ratio that says no more than "a copy"


def nearest(images: Tensor, photos: Tensor) -> float | None:
    """Return the highest cosine of an image to a photo; None if either is missing."""
    images, photos = known(images), known(photos)
    return float((images @ photos.T).max()) if len(images) and len(photos) else None


def memorisation(nearest: float | None, photos: Tensor) -> float | None:
    """Return how many times nearer that is than a photo is to the photo next to it, at the median:
    1 is as near as two of the photos are, 2 half as far. None of fewer than two photos."""
    cosines = between(photos)
    if nearest is None or cosines is None:
        return None
    usual = 1 - float(cosines.nan_to_num(-1).max(dim=1).values.median())
    return min(_MOST, max(usual, _LEAST) / max(1 - nearest, _LEAST))
