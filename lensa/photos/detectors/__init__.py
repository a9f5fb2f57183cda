"""Who is in the picture: one small interface, whatever looks.

resnet   dlib's detector, and who it is, as 128 numbers     pip install 'lensa[faces]'
haar     OpenCV's Haar cascades: quick, nearly frontal      pip install 'lensa[photos]'

They are asked for in this order. Another one is an entry point of the group `lensa.face_detectors`:
a function without arguments that returns a Detector. It comes before those two.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec

from lensa.photos.detectors.face import Detector, Face

__all__ = ["ENTRY_POINTS", "Detector", "Face", "find_detector"]

ENTRY_POINTS = "lensa.face_detectors"


def find_detector(kind: str) -> Detector | None:
    """Return the best installed detector for a person; None without one, and for other kinds.

    It is loaded here, which can take a second. Raises whatever a plugged-in detector raises.
    """
    if kind != "person":
        return None  # no human face is needed there
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        make: Callable[[], Detector] = entry.load()
        return make()
    if _installed("dlib", "face_recognition_models", "numpy"):
        from lensa.photos.detectors.resnet import DlibDetector

        return DlibDetector()
    if _installed("cv2", "numpy"):
        from lensa.photos.detectors.haar import HaarDetector

        return HaarDetector()
    return None


def _installed(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)
