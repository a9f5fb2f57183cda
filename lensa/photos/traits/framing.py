"""Where the subject's face is, how much of the body there is, and what is around it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from lensa.photos.detectors import Face

CLOSE_UP, UPPER_BODY, FULL_BODY, NO_FACE = "close-up", "upper body", "full body", "no face"

# Room below the chin, in heights of the face from brow to chin. A body is about 7.5 heads, the head
# about 1.4 such faces: the belt is 3 below the chin, the knees 6, the feet 9.
_UPPER, _FULL = 1.6, 6.0
_EDGE = 0.18  # of the width or height: what is background where nobody found a face
_LEAST = 0.05  # of the width: a narrower strip beside the head tells nothing


def main_face(faces: Sequence[Face] | None) -> Face | None:
    """The largest."""
    return max(faces, key=lambda face: face.height, default=None) if faces else None


def framing(face: Face | None, height: float) -> str:
    """`height` is the picture's, in the same pixels as the face."""
    if face is None:
        return NO_FACE
    room = (height - face.top - face.height) / face.height
    if room < _UPPER:
        return CLOSE_UP
    return UPPER_BODY if room < _FULL else FULL_BODY


def background_parts(image: Image.Image, face: Face | None) -> list[Image.Image]:
    """What is beside the head, above the shoulders; without a face, the sides and the top."""
    width, height = image.size
    if face is None:
        side, top = round(width * _EDGE), round(height * _EDGE)
        low = round(height * 0.75)  # below is the floor
        boxes = [
            (0, 0, side, low),
            (width - side, 0, width, low),
            (side, 0, width - side, top // 2),
        ]
    else:
        left = round(face.left - 0.9 * face.width)  # the hair is in between
        right = round(face.left + 1.9 * face.width)
        low = min(height, round(face.top + 1.1 * face.height))
        high = max(0, round(face.top - 3 * face.height))
        boxes = [(0, high, left, low), (right, high, width, low)]
    least = width * _LEAST
    return [
        image.crop(box) for box in boxes if box[2] - box[0] >= least and box[3] - box[1] >= least
    ]


def clothes_part(image: Image.Image, face: Face) -> Image.Image | None:
    """The chest, below the chin, the neck and the collar."""
    top = face.top + 2 * face.height
    box = (
        max(0, round(face.left - 0.5 * face.width)),
        round(top),
        min(image.width, round(face.left + 1.5 * face.width)),
        min(image.height, round(top + 1.5 * face.height)),
    )
    if box[3] - box[1] < 0.8 * face.height:  # a collar alone
        return None
    return image.crop(box)
