"""dlib: faces by histograms of gradients, and who they are, as 128 numbers (King 2009, 2017)."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.photos.detectors.face import Face

if TYPE_CHECKING:
    from PIL import Image

_SIDE = 1120  # pixels of the longer side; the detector's window is 80, a head of a full body 1/14
_LEAST_SCORE = 0.25  # below lie folds of clothes
_LANDMARKS = "shape_predictor_5_face_landmarks.dat"
_WHO = "dlib_face_recognition_resnet_model_v1.dat"


class DlibDetector:
    """Faces that look more or less into the camera. The largest one gets an embedding."""

    name = "dlib"

    def __init__(self) -> None:
        import dlib

        self._dlib: Any = dlib
        models = _models()
        self._local = threading.local()  # none of the three is made for two threads
        self._files = str(models / _LANDMARKS), str(models / _WHO)

    def faces(self, image: Image.Image) -> list[Face]:
        import numpy

        detector, landmarks, who = self._parts()
        scale = _SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        pixels = numpy.asarray(image.resize(size))
        boxes, scores, _ = detector.run(pixels, 0, _LEAST_SCORE)
        found = sorted(zip(boxes, scores, strict=True), key=lambda pair: -pair[0].height())
        faces: list[Face] = []
        for box, score in found:
            embedding = turned = None
            if not faces:  # 90 ms each, and only the subject is compared
                shape = landmarks(pixels, box)
                turned = _turned([(point.x, point.y) for point in shape.parts()])
                embedding = tuple(float(x) for x in who.compute_face_descriptor(pixels, shape))
            faces.append(
                Face(
                    left=box.left() / scale,
                    top=box.top() / scale,
                    width=box.width() / scale,
                    height=box.height() / scale,
                    confidence=float(score),
                    turned=turned,
                    embedding=embedding,
                )
            )
        return faces

    def _parts(self) -> tuple[Any, Any, Any]:
        if not hasattr(self._local, "parts"):
            landmarks, who = self._files
            self._local.parts = (
                self._dlib.get_frontal_face_detector(),
                self._dlib.shape_predictor(landmarks),
                self._dlib.face_recognition_model_v1(who),
            )
        parts: tuple[Any, Any, Any] = self._local.parts
        return parts


def _turned(points: list[tuple[float, float]]) -> float:
    """How far the nose lies off the middle of the eyes, in distances of the eyes.

    `points` are the corners of one eye, those of the other, and the nose.
    """
    (ax, ay), (bx, by), (cx, cy), (dx, dy), (nose_x, nose_y) = points
    left, right = ((ax + bx) / 2, (ay + by) / 2), ((cx + dx) / 2, (cy + dy) / 2)
    across, down = right[0] - left[0], right[1] - left[1]
    off_x, off_y = nose_x - (left[0] + right[0]) / 2, nose_y - (left[1] + right[1]) / 2
    return (off_x * across + off_y * down) / max(1.0, across**2 + down**2)


def _models() -> Path:
    """Where face-recognition-models keeps its files. Importing it would need pkg_resources."""
    spec = find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("face-recognition-models is not installed: pip install 'lensa[faces]'")
    return Path(spec.submodule_search_locations[0]) / "models"
