"""Where a tracker's figures and pictures go. Any of it may raise: see Background."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class Picture:
    """An image under a key that stays the same from step to step, so that steps compare."""

    key: str
    caption: str
    image: Image.Image | Path

    def load(self) -> Image.Image:
        """Raises OSError if it is a file that is not there."""
        if isinstance(self.image, Image.Image):
            return self.image
        with Image.open(self.image) as image:
            return image.convert("RGB")


def loaded(pictures: Sequence[Picture]) -> Iterator[tuple[Picture, Image.Image]]:
    """Yield those that can be loaded: one that was cut off costs no other."""
    for picture in pictures:
        try:
            yield picture, picture.load()
        except (OSError, SyntaxError, ValueError):  # what Pillow says of broken files
            continue


class Sink(Protocol):
    """An opened tracker. Steps come in their order."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None: ...

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None: ...

    def summary(self, facts: Mapping[str, str | float]) -> None: ...

    def close(self, exit_code: int) -> None: ...
