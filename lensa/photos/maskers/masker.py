"""What a masker is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from lensa.photos.detectors.face import Face

if TYPE_CHECKING:
    from PIL import Image


class Masker(Protocol):
    """Tells the subject from what is around it. Is called from several threads at once."""

    @property
    def name(self) -> str: ...

    def mask(self, image: Image.Image, faces: Sequence[Face] | None) -> Image.Image | None:
        """Return where the subject of an upright RGB picture is, in mode L and of its size: 255 is
        the subject, 0 is not. None if it cannot be told.

        `faces` are in pixels of the picture, the subject's first; None: nobody looked for any.
        """
        ...
