"""What a detector is, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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

    def within(self, left: float, top: float, scale: float) -> Face:
        """Return it in pixels of the part that begins at (left, top), drawn `scale` as large."""
        return replace(
            self,
            left=(self.left - left) * scale,
            top=(self.top - top) * scale,
            width=self.width * scale,
            height=self.height * scale,
        )


class Detector(Protocol):
    """Finds faces. Is called from several threads at once."""

    @property
    def name(self) -> str: ...

    def faces(self, image: Image.Image) -> list[Face]:
        """Return the faces in an upright RGB picture, the largest first."""
        ...
