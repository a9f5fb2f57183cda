"""Prompt retention: whether what a prompt says beside the subject is still drawn.

The score is CLIP's cosine of image and text (CLIPScore, Hessel et al. 2021, arXiv:2104.08718),
where the text leaves the subject's token out. It is held against that of the base's own image.
"""

from __future__ import annotations

from torch import Tensor

_LEAST = 0.02  # of the base's own score: below, it does not draw what it is asked for either


def score(image: Tensor, text: Tensor) -> float:
    """Return how well an image fits a text, both (D,)."""
    return float(image @ text)


def retention(now: float, own: float) -> float | None:
    """Return the share of the base's own score that is left; None if there was none to lose."""
    return now / own if own >= _LEAST else None
