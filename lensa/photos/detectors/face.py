"""What a detector is, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Face:
    """A face, in pixels of the picture that was given, upright. The box goes from brow to chin."""

    left: float
    top: float
    width: float
    height: float
    confidence: float = 1.0
    # How far the head is turned: 0 into the camera, about -0.5 and 0.5 half away; None: not told.
    turned: float | None = None
    # 128 numbers, alike for the same person. For the time of one check only: never stored anywhere.
    embedding: tuple[float, ...] | None = field(default=None, repr=False)


class Detector(Protocol):
    """Finds faces. Is called from several threads at once."""

    @property
    def name(self) -> str: ...

    def faces(self, image: Image.Image) -> list[Face]:
        """Return the faces in an upright RGB picture, the largest first."""
        ...
