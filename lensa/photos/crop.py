"""Which square of a photo is kept."""

from __future__ import annotations

_FROM_TOP = 0.25  # of what is cut off a portrait picture: heads are above the middle


def square(width: int, height: int) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the largest square, in pixels.

    The middle of a landscape picture; of a portrait one, a part above the middle. It does not know
    where the face is: a crop that does comes with the coach and takes this one's place.
    """
    side = min(width, height)
    left = (width - side) // 2
    top = round((height - side) * _FROM_TOP)
    return left, top, left + side, top + side
