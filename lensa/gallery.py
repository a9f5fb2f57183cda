"""A gallery: the images of one or several answers, with what it takes to make each again."""

from __future__ import annotations

import html
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from lensa.contract.generation import GeneratedImage, GenerationResponse
from lensa.errors import StorageError

if TYPE_CHECKING:
    from PIL import Image


class Gallery(Sequence[GeneratedImage]):
    """Images in the order they were asked for. Shows itself in a notebook."""

    def __init__(
        self,
        images: Sequence[GeneratedImage],
        *,
        warnings: Sequence[str] = (),
        seconds: float = 0,
        partial: bool = False,
    ) -> None:
        """`partial`: more was asked for, and a warning says where to go on."""
        self._images = tuple(images)
        self.warnings = tuple(warnings)
        self.seconds = seconds
        self.partial = partial

    @classmethod
    def of(cls, response: GenerationResponse) -> Gallery:
        """Return the images of an answer."""
        return cls(
            response.images,
            warnings=response.warnings,
            seconds=response.seconds,
            partial=response.partial,
        )

    @overload
    def __getitem__(self, index: int) -> GeneratedImage: ...
    @overload
    def __getitem__(self, index: slice) -> Gallery: ...
    def __getitem__(self, index: int | slice) -> GeneratedImage | Gallery:
        if isinstance(index, slice):
            return Gallery(
                self._images[index],
                warnings=self.warnings,
                seconds=self.seconds,
                partial=self.partial,
            )
        return self._images[index]

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[GeneratedImage]:
        return iter(self._images)

    def __add__(self, other: Gallery) -> Gallery:
        return Gallery(
            [*self._images, *other],
            warnings=list(dict.fromkeys([*self.warnings, *other.warnings])),
            seconds=self.seconds + other.seconds,
            partial=self.partial or other.partial,
        )

    def pictures(self) -> list[Image.Image]:
        """The images decoded, RGB."""
        from PIL import Image

        return [Image.open(io.BytesIO(image.content())).convert("RGB") for image in self._images]

    def save(self, folder: str | Path) -> list[Path]:
        """Write every image into a folder and return the paths. Nothing is overwritten.

        Raises StorageError if the folder cannot be written.
        """
        folder = make_writable(Path(folder))
        try:
            return [_write_new(folder, _stem(image), image) for image in self._images]
        except OSError as error:
            raise StorageError(f"{folder} cannot be written: {error.strerror or error}.") from None

    def grid(self, columns: int | None = None, *, side: int | None = None) -> Image.Image:
        """Return all images on one sheet, `columns` wide, each scaled to `side` pixels if given."""
        from PIL import Image

        pictures = self.pictures()
        if not pictures:
            raise ValueError("an empty gallery has no grid")
        columns = columns or min(len(pictures), 4)
        cell = side or max(max(picture.size) for picture in pictures)
        rows = -(-len(pictures) // columns)
        sheet = Image.new("RGB", (columns * cell, rows * cell), "white")
        for place, picture in enumerate(pictures):
            # Small pictures are enlarged in whole pixels, so that nothing is invented.
            sampling = Image.Resampling.NEAREST if side else Image.Resampling.LANCZOS
            scaled = picture.resize((cell, cell), sampling) if side else picture
            sheet.paste(scaled, (place % columns * cell, place // columns * cell))
        return sheet

    def _repr_html_(self) -> str:
        cells = "".join(
            f'<figure style="margin:4px;width:160px;display:inline-block;vertical-align:top">'
            f'<img src="data:image/{image.format};base64,{image.data}" style="width:160px">'
            f"<figcaption style='font-size:11px'>{html.escape(image.prompt)}<br>"
            f"seed {image.seed}, {image.index}</figcaption></figure>"
            for image in self._images
        )
        return f"<div>{cells}</div>"

    def __repr__(self) -> str:
        return f"<Gallery of {len(self)} images>"


def make_writable(folder: Path) -> Path:
    """Make a folder, or raise StorageError: better before the images are drawn than after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
        reason = "no permission"
    except OSError as error:
        reason = error.strerror or str(error)
    raise StorageError(f"{folder} cannot be written: {reason}. Choose another folder.")


def _stem(image: GeneratedImage) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", image.prompt.lower()).strip("-")[:48].rstrip("-")
    return f"{words or 'image'}-{image.seed}-{image.index}"


def _write_new(folder: Path, stem: str, image: GeneratedImage) -> Path:
    """Write under the first free name: two prompts can share a stem."""
    suffix = {"jpeg": "jpg"}.get(image.format, image.format)
    attempt = 1
    while True:
        path = folder / (f"{stem}.{suffix}" if attempt == 1 else f"{stem}-{attempt}.{suffix}")
        try:
            with path.open("xb") as file:
                file.write(image.content())
            return path
        except FileExistsError:
            attempt += 1
        except OSError:
            path.unlink(missing_ok=True)  # half a picture is none
            raise
