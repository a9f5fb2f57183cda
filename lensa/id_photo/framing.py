"""Where a picture is cut, so that the head is as large and as high as a specification wants it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lensa.id_photo.specifications import Specification
from lensa.photos.detectors import Face

# From chin to crown a head is about 1.55 times as high as its face from brow to chin, which is what
# a detector's box shows, and its eyes lie halfway (the old rule of portrait drawing).
HEAD = 1.55
_EYES = 0.5
# OpenCV's cascades see a smaller box that ends at the mouth. Beside dlib's, in 13 pictures of one
# woman: 0.84 times as high (0.77 to 0.94), its lower edge 0.24 of itself too high.
_OF_HAAR = 1.19, 0.24
_ABOVE = 0.35  # of the room left by the head, where a rule says neither top nor eyes


@dataclass(frozen=True)
class Frame:
    """A part of a picture, in its pixels; it may reach beyond its edges."""

    left: float
    top: float
    width: float
    height: float
    head_mm: float  # chin to crown, by the estimate
    crown: float  # where the head begins, from the picture's top

    @property
    def box(self) -> tuple[float, float, float, float]:
        return self.left, self.top, self.left + self.width, self.top + self.height

    def within(self, left: float, top: float) -> Frame:
        """Return it in pixels of the part that begins at (left, top)."""
        return Frame(
            self.left - left,
            self.top - top,
            self.width,
            self.height,
            self.head_mm,
            self.crown - top,
        )

    def beyond(self, size: tuple[int, int]) -> dict[str, float]:
        """How far it reaches beyond a picture of this size, by side, in shares of its height."""
        over = {
            "above": -self.top,
            "to the left": -self.left,
            "to the right": self.left + self.width - size[0],
            "below": self.top + self.height - size[1],
        }
        return {side: pixels / self.height for side, pixels in over.items() if pixels > 0.5}


def from_brow_to_chin(face: Face, detector: str) -> Face:
    """Return the box that a detector of this name means to show."""
    if detector != "haar":
        return face
    larger, lower = _OF_HAAR
    width, height = larger * face.width, larger * face.height
    return replace(
        face,
        left=face.left + (face.width - width) / 2,
        top=face.top + (1 + lower) * face.height - height,
        width=width,
        height=height,
    )


def frame(face: Face, wanted: Specification) -> Frame:
    """Return the part of the picture that has the middle of the allowed head height, the face in
    the middle, and the crown or the eyes where the specification says."""
    head_mm = sum(wanted.head) / 2
    pixels_per_mm = HEAD * face.height / head_mm
    chin = face.top + face.height
    crown = chin - HEAD * face.height
    top = crown - _above_mm(wanted, head_mm) * pixels_per_mm
    width, height = wanted.width * pixels_per_mm, wanted.height * pixels_per_mm
    left = face.left + face.width / 2 - width / 2
    return Frame(left, top, width, height, head_mm, crown)


def _above_mm(wanted: Specification, head_mm: float) -> float:
    """How much is above the crown, mm."""
    if wanted.top is not None:
        return sum(wanted.top) / 2
    room = wanted.height - head_mm
    if wanted.eyes is not None:
        eyes = sum(wanted.eyes) / 2
        above = wanted.height - eyes - _EYES * head_mm
        return min(max(above, 0.0), room)
    return _ABOVE * room
