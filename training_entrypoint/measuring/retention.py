"""Prompt retention: whether what a prompt says beside the subject is still drawn.

The score is CLIP's cosine of image and text (CLIPScore, Hessel et al. 2021, arXiv:2104.08718),
where the text leaves the subject's token out. It is held against that of the base's own image.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

_LEAST = 0.02  # of the base's own score: below, it does not draw what it is asked for either


def score(image: Tensor, text: Tensor) -> float:
    """Return how well an image fits a text, both (D,)."""
    return float(image @ text)


def retention(scores: Sequence[tuple[float, float]]) -> float | None:
    """Return the share that is left of the base's own scores, of pairs (now, own); None if the base
    had none to lose. A ratio of sums: one prompt that the base hardly draws is not the loudest."""
    own = sum(base for _, base in scores)
    return sum(now for now, _ in scores) / own if own >= _LEAST * len(scores) else None
