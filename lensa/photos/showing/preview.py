"""The prepared photos, and the contact sheet, as files to look at. No original is ever touched."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from lensa.errors import StorageError
from lensa.photos.photoset import PhotoSet, write_whole
from lensa.photos.sources import Source


def write_preview(photos: PhotoSet, folder: Path, sources: Iterable[Source] = ()) -> list[Path]:
    """Write what the model will see: "01-holiday.png", ... Returns the paths.

    Raises StorageError if the folder cannot be written, or if a photo of the user's is in the way.
    """
    targets = [
        folder / f"{number:02}-{_stem(photo.name)}.png"
        for number, photo in enumerate(photos.photos, start=1)
    ]
    _spare_originals(targets, sources)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target, photo in zip(targets, photos.photos, strict=True):
            write_whole(target, photo.png)
    except OSError as error:
        raise _not_written(folder, error) from None
    return targets


def write_sheet(sheet: Image.Image, file: Path, sources: Iterable[Source] = ()) -> Path:
    """Write a contact sheet as PNG, whatever the file's name. Raises StorageError."""
    _spare_originals([file], sources)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, buffer.getvalue())
    except OSError as error:
        raise _not_written(file, error) from None
    return file


def _stem(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(name).with_suffix("").as_posix()).strip("-.")[:60] or "x"


def _spare_originals(targets: list[Path], sources: Iterable[Source]) -> None:
    originals = {source.path.resolve() for source in sources if source.path is not None}
    for target in targets:
        if target.resolve() in originals:
            raise StorageError(
                f"{target} is one of your photos, and is not overwritten. Choose another place."
            )


def _not_written(where: Path, error: OSError) -> StorageError:
    return StorageError(f"{where} cannot be written: {error.strerror or error}.")
