"""Which square of a photo is kept."""

from __future__ import annotations

from collections.abc import Sequence

from lensa.photos.detectors import Face

_FROM_TOP = 0.25  # of what is cut off a portrait picture: heads are above the middle

# How far a head, and then its shoulders, reach beyond the box of a face, which goes from brow to
# chin, in parts of that box: sideways, up, down.
_HEAD = (0.35, 0.6, 0.25)
_SHOULDERS = (1.0, 0.6, 1.25)

_Span = tuple[float, float]


def square(width: int, height: int, faces: Sequence[Face] = ()) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the largest square, in pixels.

    Without faces it is the middle of a landscape picture, and of a portrait one a part above the
    middle. For faces it is moved as little as it takes to hold every head, then every pair of
    shoulders; where they do not all fit, the larger faces come first.
    """
    side = min(width, height)
    left, top = (width - side) // 2, round((height - side) * _FROM_TOP)
    wanted = [
        _span(face, reach, sideways=width > height)
        for reach in (_HEAD, _SHOULDERS)
        for face in sorted(faces, key=lambda face: face.width * face.height, reverse=True)
    ]
    if width > height:
        left = _moved(left, side, width, wanted)
    elif height > width:
        top = _moved(top, side, height, wanted)
    return left, top, left + side, top + side


def _span(face: Face, reach: tuple[float, float, float], *, sideways: bool) -> _Span:
    beside, above, below = reach
    if sideways:
        return face.left - beside * face.width, face.left + (1 + beside) * face.width
    return face.top - above * face.height, face.top + (1 + below) * face.height


def _moved(start: int, side: int, length: int, wanted: Sequence[_Span]) -> int:
    """Return where `side` pixels of `length` begin, near `start`, to hold the spans that fit."""
    held: _Span | None = None
    for first, last in wanted:
        first, last = max(first, 0), min(last, length)
        together = (first, last) if held is None else (min(first, held[0]), max(last, held[1]))
        if together[1] - together[0] <= side:
            held = together
    if held is None:  # one head larger than the square: its middle
        if not wanted:
            return start
        middle = sum(wanted[0]) / 2
        held = (middle, middle)
        start = round(middle - side / 2)
    lowest, highest = held[1] - side, held[0]
    moved = min(max(start, lowest), highest)
    return min(max(round(moved), 0), length - side)
