"""From a folder of photos to the pictures that a model is trained on."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image

from lensa.errors import PhotosError
from lensa.photos.crop import square
from lensa.photos.files import Unusable, find_photos, read_photo
from lensa.photos.photoset import Photo, PhotoSet

__all__ = ["MAX_PHOTOS", "MIN_PHOTOS", "Photo", "PhotoSet", "load_photos", "prepare"]

MIN_PHOTOS = 4  # with fewer, DreamBooth learns the pictures instead of the subject
MAX_PHOTOS = 200  # more is a folder of holidays, given by mistake


def load_photos(
    source: Path, size: int, *, least: int = MIN_PHOTOS, most: int = MAX_PHOTOS
) -> PhotoSet:
    """Return the photos of a folder, each `size` x `size` pixels. The originals stay as they are.

    A file that cannot be used is left out and named in `rejected`; so is a second file that
    comes out the same. Raises PhotosError if fewer than `least` remain, or if the folder holds more
    than `most` files.
    """
    files = find_photos(source)
    if len(files) > most:
        raise PhotosError(
            f"{source} holds {len(files)} files, and {most} are the most. Is it the right folder? "
            "10 to 20 good photos of one subject are plenty."
        )
    photos: dict[str, Photo] = {}  # by digest
    rejected: dict[str, str] = {}
    notes: list[str] = []
    for path in files:
        name = _shown(path.name)
        try:
            # A square may be half as large as it has to be: enlarged, but still a likeness.
            image = read_photo(path, min_side=max(32, size // 2), enough=2 * size)
        except Unusable as error:
            rejected[name] = error.reason
            continue
        photo = prepare(image, size, name)
        if photo.sha256 in photos:
            rejected[name] = f"same picture as {photos[photo.sha256].name}: a copy adds nothing"
            continue
        photos[photo.sha256] = photo
        if (side := min(image.size)) < size:
            notes.append(f"{name} is {side} px and was enlarged to {size}")
    if len(photos) < least:
        raise PhotosError(_too_few(source, len(photos), least, rejected), rejected)
    return PhotoSet(size, tuple(photos.values()), rejected, tuple(notes))


def prepare(image: Image.Image, size: int, name: str) -> Photo:
    """Return the square of an RGB picture that is kept, `size` pixels a side.

    It is packed as PNG: at 64 pixels, the 8 x 8 blocks of JPEG are what a model would learn.
    """
    box = square(*image.size)
    small = image.resize((size, size), Image.Resampling.LANCZOS, box=box)
    pixels = Image.new("RGB", small.size)  # PNG would carry what `small.info` says
    pixels.paste(small)
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG", compress_level=6)
    png = buffer.getvalue()
    return Photo(name, png, hashlib.sha256(png).hexdigest())


def _too_few(source: Path, usable: int, least: int, rejected: dict[str, str]) -> str:
    lines = [
        f"{source}: {usable} usable {'photo' if usable == 1 else 'photos'}, "
        f"{least} are needed. Add {least - usable} more.",
        *(f"  {name}: {reason}" for name, reason in rejected.items()),
    ]
    return "\n".join(lines)


def _shown(name: str) -> str:
    """A file's name that can be printed: names may hold escape sequences and broken Unicode."""
    return "".join(character if character.isprintable() else "?" for character in name)
