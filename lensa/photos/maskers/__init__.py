"""Where in a picture the subject is: one small interface, whatever tells it.

grabcut  OpenCV's GrabCut, begun from the face or the middle    pip install 'lensa[photos]'

Another one is an entry point of the group `lensa.maskers`: a function without arguments that
returns a Masker. It comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec

from lensa.photos.maskers.masker import Masker

__all__ = ["ENTRY_POINTS", "Masker", "find_masker"]

ENTRY_POINTS = "lensa.maskers"


def find_masker() -> Masker | None:
    """Return the best installed masker, None without one.

    Raises whatever a plugged-in masker raises.
    """
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        make: Callable[[], Masker] = entry.load()
        return make()
    if all(find_spec(module) is not None for module in ("cv2", "numpy")):
        from lensa.photos.maskers.grabcut import GrabCutMasker

        return GrabCutMasker()
    return None
