"""Haar cascades (Viola and Jones 2001), as OpenCV ships them: quick, nearly frontal faces only."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.photos.detectors.face import Face

if TYPE_CHECKING:
    from PIL import Image

# Measured (docs/photos.md): equalizing the histogram first, as is often advised, finds fewer faces
# (43 of 55 against 52). A scale step of 1.2 takes half the time and loses one face in ten more.
_SIDE, _STEP, _NEIGHBOURS = 400, 1.1, 4  # the longer side that is looked at, in pixels
_PROFILE_SIDE = 256
_PROFILE = 1.15, 4, 0.12  # step, neighbours, least share: four times as slow a pixel
_BROW_TO_CHIN = 0.8  # of a cascade's box: then it is as large as dlib's
_LEAST = 0.06  # of the shorter side: smaller ones are somebody in the background


class HaarDetector:
    """Frontal faces; where there is none, profiles from both sides."""

    name = "haar"

    def __init__(self) -> None:
        import cv2

        self._cv2: Any = cv2
        self._local = threading.local()  # a cascade keeps its scratch space in itself

    def faces(self, image: Image.Image) -> list[Face]:
        grey, scale = _grey(image, _SIDE)
        boxes = self._detect("frontalface_alt2", grey, _STEP, _NEIGHBOURS, _LEAST)
        if not boxes:
            grey, scale = _grey(image, _PROFILE_SIDE)
            boxes = self._profiles(grey)
        faces = [_face(*box, scale) for box in boxes]
        return sorted(faces, key=lambda face: -face.height)

    def _profiles(self, grey: Any) -> list[tuple[float, float, float, float]]:
        """Faces turned to the left, and to the right, which the cascade only knows mirrored."""
        boxes = self._detect("profileface", grey, *_PROFILE)
        if boxes:
            return boxes
        mirrored = self._detect("profileface", grey[:, ::-1].copy(), *_PROFILE)
        width = grey.shape[1]
        return [(width - left - side, top, side, high) for left, top, side, high in mirrored]

    def _detect(
        self, name: str, grey: Any, step: float, neighbours: int, share: float
    ) -> list[tuple[float, float, float, float]]:
        least = max(20, round(min(grey.shape) * share))  # the cascade's own window is 20 px
        found = self._cascade(name).detectMultiScale(grey, step, neighbours, minSize=(least, least))
        return [(float(x), float(y), float(w), float(h)) for x, y, w, h in found]

    def _cascade(self, name: str) -> Any:
        if not hasattr(self._local, name):
            folder = Path(self._cv2.__file__).parent / "data"
            cascade = self._cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml"))
            setattr(self._local, name, cascade)
        return getattr(self._local, name)


def _face(left: float, top: float, width: float, height: float, scale: float) -> Face:
    """The cascades' boxes reach into the hair; what is called a face goes from brow to chin."""
    margin = (1 - _BROW_TO_CHIN) / 2
    return Face(
        left=(left + width * margin) / scale,
        top=(top + height * margin) / scale,
        width=width * _BROW_TO_CHIN / scale,
        height=height * _BROW_TO_CHIN / scale,
    )


def _grey(image: Image.Image, side: int) -> tuple[Any, float]:
    """The picture as an array of 8-bit luminance, and how much smaller it is."""
    import numpy

    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return numpy.asarray(image.convert("L").resize(size)), scale
