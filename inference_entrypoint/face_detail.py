"""Small faces drawn once more, at full size.

A face of forty pixels is five pixels of latents: too few to draw eyes with. It is cut out with what
is around it, drawn anew at full size beginning with itself, and blended back, as ADetailer does it
for web UIs. (The client finds faces too, but what runs in a container knows its contract alone.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lensa.errors import ConfigError

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels
Finder = Callable[[Image.Image], list[Box]]
# (crops, which of the images each is from) -> the crops drawn anew
Redraw = Callable[[list[Image.Image], list[int]], list[Image.Image]]

STRENGTH = 0.4  # new eyes, the same face: much less leaves them, much more draws someone else
MAX_FACES = 4  # an image

_SMALL = 0.5  # of the image's shorter side: larger faces were drawn well at once
_AROUND = 1.8  # of the face: hair, chin and neck tell the model what it looks at
_BLENDED = 0.85  # of the crop's half that the ellipse reaches
_FEATHER = 0.35  # of the ellipse's radius, in which the new gives way to the old

_LOOKED_AT = 1024  # the longer side at most, in pixels: beyond it costs much and finds little
_WINDOW, _LEAST = 20, 0.03  # the cascade's own pixels; of the shorter side
_STEP, _NEIGHBOURS = 1.1, 4  # as the photo coach measured them (docs/photos.md)


def check() -> None:
    """Raise ConfigError if faces cannot be found here: better before anything is drawn."""
    _cascade()


def find_faces(image: Image.Image) -> list[Box]:
    """Return the nearly frontal faces of an image, the largest first.

    By Haar cascades (Viola and Jones 2001), as OpenCV ships them: milliseconds on a CPU and no
    weights to fetch. Raises ConfigError where OpenCV is not installed.
    """
    cascade = _cascade()
    scale = min(1.0, _LOOKED_AT / max(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    if min(size) < _WINDOW:
        return []
    grey = np.asarray(image.convert("L").resize(size))
    least = max(_WINDOW, round(min(size) * _LEAST))
    found = cascade.detectMultiScale(grey, _STEP, _NEIGHBOURS, minSize=(least, least))
    boxes = [
        (
            max(0, round(x / scale)),
            max(0, round(y / scale)),
            min(image.width, round((x + width) / scale)),
            min(image.height, round((y + height) / scale)),
        )
        for x, y, width, height in np.asarray(found).reshape(-1, 4).tolist()
    ]
    return sorted(boxes, key=_by_size)


def detail(
    images: Sequence[Image.Image],
    redraw: Redraw,
    size: tuple[int, int],
    finder: Finder = find_faces,
) -> tuple[list[Image.Image], list[int]]:
    """Return RGB images with their small faces drawn anew, and how many faces each had of these.

    `redraw(crops, positions)` draws crops, brought to `size` (width, height) already, beginning
    with themselves (`STRENGTH`), the crop of `images[position]` by that image's own noise. At most
    `MAX_FACES` an image, the largest first; of an image, one after the other, so that crops may
    overlap. Beyond the feathered ellipse around a face no byte changes.
    """
    drawn = list(images)
    faces = [_worth_it(image, finder(image), min(size)) for image in images]
    for turn in range(MAX_FACES):
        turns = [(position, boxes[turn]) for position, boxes in enumerate(faces) if boxes[turn:]]
        if not turns:
            break
        cuts = [_cut(drawn[position], face, size) for position, face in turns]
        crops = [
            drawn[position].crop(cut).resize(size, Image.Resampling.LANCZOS)
            for (position, _), cut in zip(turns, cuts, strict=True)
        ]
        anew = redraw(crops, [position for position, _ in turns])
        for (position, face), cut, crop in zip(turns, cuts, anew, strict=True):
            drawn[position] = _blended(drawn[position], crop, cut, face)
    return drawn, [len(boxes) for boxes in faces]


def _worth_it(image: Image.Image, boxes: Sequence[Box], full: int) -> list[Box]:
    """Return the faces that were drawn small, and that a crop of `full` pixels makes larger."""
    most = min(_SMALL * min(image.size), full / _AROUND)
    return sorted((box for box in boxes if 0 < _side(box) < most), key=_by_size)[:MAX_FACES]


def _cut(image: Image.Image, face: Box, size: tuple[int, int]) -> Box:
    """Return what is cut out, in the ratio of `size`: the face in its middle if the edge allows."""
    scale = _AROUND * _side(face) / min(size)
    width = min(round(size[0] * scale), image.width)
    height = min(round(size[1] * scale), image.height)
    left = min(max(0, (face[0] + face[2] - width) // 2), image.width - width)
    top = min(max(0, (face[1] + face[3] - height) // 2), image.height - height)
    return left, top, left + width, top + height


def _blended(image: Image.Image, crop: Image.Image, cut: Box, face: Box) -> Image.Image:
    size = (cut[2] - cut[0], cut[3] - cut[1])
    small = crop.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    blended = image.copy()
    blended.paste(small, cut[:2], ellipse(cut, face))
    return blended


def ellipse(cut: Box, face: Box) -> Image.Image:
    """Return the mask (L, as large as `cut`) of what is replaced around a face: 255 is new."""
    reach = _BLENDED * _AROUND / 2
    across = np.arange(cut[0], cut[2]) + 0.5 - (face[0] + face[2]) / 2
    down = np.arange(cut[1], cut[3]) + 0.5 - (face[1] + face[3]) / 2
    distance = np.hypot(
        across[None] / (reach * (face[2] - face[0])), down[:, None] / (reach * (face[3] - face[1]))
    )
    ramp = ((1 - distance) / _FEATHER).clip(0, 1)
    return Image.fromarray((255 * ramp * ramp * (3 - 2 * ramp)).round().astype(np.uint8))


def _side(box: Box) -> int:
    return max(box[2] - box[0], box[3] - box[1]) if box[2] > box[0] and box[3] > box[1] else 0


def _by_size(box: Box) -> tuple[int, Box]:
    return -_side(box), box  # an order of its own: OpenCV's threads have none


def _cascade() -> Any:
    """Return a new cascade: it keeps its scratch space in itself, and threads must not share it."""
    try:
        import cv2  # late: most processes never need it
    except ImportError:
        raise ConfigError(
            "generation: face_detail needs opencv-python-headless where the images are drawn: "
            "install it there, or ask without face_detail."
        ) from None
    file = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(str(file))
    if cascade.empty():
        raise ConfigError(
            f"generation: face_detail needs {file.name}, which this OpenCV came without: install "
            "opencv-python-headless anew, or ask without face_detail."
        )
    return cascade
