"""GrabCut (Rother, Kolmogorov and Blake 2004), as OpenCV ships it, begun without a user's hand.

Two mixtures of colours, one of the subject and one of what is around it, and a cut between them
along edges, five times over. It begins at the face, or, where nobody looked for one, at the middle
of the picture. A person without a face could be anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lensa.photos.detectors.face import Face

if TYPE_CHECKING:
    from PIL import Image

_SIDE = 256  # pixels of the longer side that is looked at
_ROUNDS = 5
_LEAST, _MOST = 0.04, 0.97  # of the picture: less or more is a cut that went wrong
_SPECK = 0.02  # of the longer side: thinner things are neither subject nor hole
_PART = 0.05  # of the figure: a dark collar may part a head from its body, a speck is no part
_AGREED = 0.65  # of what it began with has to be in it, or it went astray
_EDGE = 0.02  # of the picture, at its left, top and right: not the subject's, if it has no face


class GrabCutMasker:
    """A figure without holes, in one piece or in few."""

    name = "grabcut"

    def __init__(self) -> None:
        import cv2

        self._cv2: Any = cv2

    def mask(self, image: Image.Image, faces: Sequence[Face] | None) -> Image.Image | None:
        import numpy
        from PIL import Image as Images

        if faces is not None and not faces:
            return None
        scale = min(1.0, _SIDE / max(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        pixels = numpy.asarray(image.resize(size, Images.Resampling.BOX))[:, :, ::-1].copy()
        if faces:
            guess = self._guess_from_face(size, faces[0].within(0, 0, scale))
        else:
            guess = self._guess_from_middle(size)
        figure = self._cut(pixels, guess)
        if figure is None:
            return None
        return Images.fromarray(figure).resize(image.size, Images.Resampling.BICUBIC)

    def _cut(self, pixels: Any, guess: Any) -> Any:
        """Return a mask of 0 and 255 from a first guess; None if it went wrong."""
        import numpy

        cv2 = self._cv2
        first = _subject(cv2, guess)
        if first.all() or not first.any():
            return None  # with nothing to tell it from
        cv2.setRNGSeed(0)  # the mixtures begin at random: the same photo, the same mask
        colours = numpy.zeros((2, 1, 65))
        cv2.grabCut(pixels, guess, None, colours[0], colours[1], _ROUNDS, cv2.GC_INIT_WITH_MASK)
        figure = _subject(cv2, guess).astype(numpy.uint8)
        side = max(3, round(max(figure.shape) * _SPECK) | 1)
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        figure = cv2.morphologyEx(figure, cv2.MORPH_OPEN, brush)
        figure = cv2.morphologyEx(figure, cv2.MORPH_CLOSE, brush)
        outlines, _ = cv2.findContours(figure, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        least = _PART * sum(cv2.contourArea(outline) for outline in outlines)
        parts = [outline for outline in outlines if cv2.contourArea(outline) >= least]
        mask = numpy.zeros_like(figure)
        cv2.drawContours(mask, parts, -1, 255, thickness=cv2.FILLED)
        mask = cv2.dilate(mask, brush)  # a rim of background costs less than lost hair
        inside = mask > 0
        good = _LEAST <= inside.mean() <= _MOST and inside[first].mean() >= _AGREED
        return mask if good else None

    def _guess_from_face(self, size: tuple[int, int], face: Face) -> Any:
        """A head, a neck and perhaps a body below; surely nothing above or far beside the head."""
        import numpy

        cv2 = self._cv2

        def at(across: float, down: float) -> tuple[int, int]:
            """Widths of the face from its middle, heights from its brow: as pixels."""
            x = face.left + (0.5 + across) * face.width
            return round(x), round(face.top + down * face.height)

        def oval(across: float, down: float, wide: float, high: float, value: int) -> None:
            axes = (max(1, round(wide * face.width)), max(1, round(high * face.height)))
            cv2.ellipse(guess, at(across, down), axes, 0, 0, 360, value, thickness=cv2.FILLED)

        guess = numpy.full((size[1], size[0]), cv2.GC_PR_BGD, numpy.uint8)
        for left_top, right_bottom in (
            ((-99, -99), (99, -0.9)),
            ((-99, -99), (-1.1, 1.0)),
            ((1.1, -99), (99, 1.0)),
        ):
            cv2.rectangle(guess, at(*left_top), at(*right_bottom), cv2.GC_BGD, cv2.FILLED)
        half = ((0.45, 1.0), (1.2, 1.9), (1.2, 99))
        body = [*half, *((-across, down) for across, down in reversed(half))]
        cv2.fillPoly(guess, [numpy.array([at(*corner) for corner in body])], cv2.GC_PR_FGD)
        oval(0, 0.35, 0.75, 0.85, cv2.GC_PR_FGD)
        oval(0, 0.5, 0.55, 0.65, cv2.GC_FGD)
        cv2.rectangle(guess, at(-0.25, 1.0), at(0.25, 1.3), cv2.GC_FGD, cv2.FILLED)
        return guess

    def _guess_from_middle(self, size: tuple[int, int]) -> Any:
        """Something in the middle, or a little below; surely nothing at the edges but the lower."""
        import numpy

        cv2 = self._cv2
        width, height = size
        guess = numpy.full((height, width), cv2.GC_PR_BGD, numpy.uint8)
        edge = max(1, round(_EDGE * max(size)))
        guess[:edge] = guess[:, :edge] = guess[:, -edge:] = cv2.GC_BGD
        middle = (round(width * 0.5), round(height * 0.55))
        for half, value in ((0.38, cv2.GC_PR_FGD), (0.15, cv2.GC_FGD)):
            axes = (max(1, round(width * half)), max(1, round(height * half)))
            cv2.ellipse(guess, middle, axes, 0, 0, 360, value, thickness=cv2.FILLED)
        return guess


def _subject(cv2: Any, guess: Any) -> Any:
    return (guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)
