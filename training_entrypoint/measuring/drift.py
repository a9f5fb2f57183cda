"""Class drift: how far "a photo of a person" has gone from what the base draws to the subject."""

from __future__ import annotations


def drift(before: float | None, now: float | None, ceiling: float | None) -> float | None:
    """Return the share of the way, of mean cosines of the class's image to the photos: 0 is as the
    base draws it, 1 as the photos are to each other. None where that is no way, or not known."""
    if before is None or now is None or ceiling is None or ceiling - before < 1e-3:
        return None
    return (now - before) / (ceiling - before)
