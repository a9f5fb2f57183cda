"""Find the photos of a folder, and read one whatever it turns out to be."""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile

from lensa.errors import PhotosError
from lensa.photos.colour import plain, to_srgb
from lensa.photos.formats import Unusable, open_image

__all__ = ["MAX_PIXELS", "Unusable", "find_photos", "read_photo"]

MAX_PIXELS = 250_000_000  # a gigabyte decoded; phones end at 200 million

# What lies beside photos and is never one: captions, edits, what operating systems leave.
_IGNORED_SUFFIXES = {".txt", ".json", ".aae", ".xmp"}
_IGNORED_NAMES = {"thumbs.db", "desktop.ini"}

# EXIF orientation (Exif 2.3, 4.6.4) -> what makes it upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112


def find_photos(source: Path) -> list[Path]:
    """Return the files of a folder that may be photos, in the order people count: 2 before 10.

    Folders inside are not entered. Raises PhotosError if there is no such folder or nothing in it.
    """
    source = source.expanduser()
    try:
        entries = sorted(source.iterdir(), key=_natural)
    except FileNotFoundError:
        raise PhotosError(f"No such folder: {source}. Give the one with the photos.") from None
    except NotADirectoryError:
        raise PhotosError(f"{source} is a file. Give the folder with the photos.") from None
    except OSError as error:
        raise PhotosError(f"{source} cannot be opened: {error.strerror}.") from None
    entries = [path for path in entries if not _ignored(path)]
    folders = [path for path in entries if _is_folder(path)]
    if len(folders) == len(entries):
        names = ", ".join(path.name for path in folders[:5])
        inside = (
            f"Is it a folder in it ({names})?" if folders else "Put JPEG or PNG photos into it."
        )
        raise PhotosError(f"No photos in {source}. {inside}")
    return [path for path in entries if path not in folders]


def read_photo(path: Path, min_side: int, enough: int | None = None) -> Image.Image:
    """Return a photo as 8-bit sRGB, upright, without metadata; transparency becomes white.

    `min_side` is the least its shorter side may measure, in pixels. `enough` saves time and
    memory: if the shorter side is at least twice that, the picture comes back smaller, but not
    smaller than `enough`. Raises Unusable.
    """
    try:
        _check_file(path)
        with path.open("rb") as stream:
            image = open_image(stream, path.suffix)
            _check_picture(image, min_side)
            return _decode(image, enough)
    except Unusable:
        raise
    except PermissionError:
        raise Unusable("no permission to read it: chmod u+r makes it readable") from None
    except (MemoryError, Image.DecompressionBombError):  # of WebP, Pillow reads 179 megapixels
        raise Unusable("too many pixels for this machine: save it smaller") from None
    except Exception:  # decoders raise all sorts of things, from struct.error to AssertionError
        raise Unusable("incomplete or damaged: copy it again from where it came") from None


def _decode(image: Image.Image, enough: int | None) -> Image.Image:
    if enough and image.format == "JPEG":
        image.draft(None, (enough, enough))  # JPEG decodes to 1/2, 1/4 or 1/8 for less
    with _whole_pictures_only():
        image.load()
    profile = image.info.get("icc_profile")
    orientation = _orientation(image)
    image = plain(image)
    if enough and (factor := min(image.size) // enough) > 1:
        image = image.reduce(factor)
    image = to_srgb(image, profile)
    image = image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image.copy()
    image.info.clear()
    return image


def _check_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise
    except OSError:
        raise Unusable(
            "a link to a file that is not there: put the photo itself here"
            if path.is_symlink()
            else "no such file"
        ) from None
    if stat.S_ISDIR(mode):
        raise Unusable("a folder, whatever its name says: move the photos in it up here")
    if not stat.S_ISREG(mode):  # to open a pipe would wait for somebody to write into it
        raise Unusable("a pipe, socket or device, not a file: put the photo itself here")


def _check_picture(image: Image.Image, min_side: int) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unusable(
            f"{width} x {height} px are {width * height // 1_000_000} megapixels, "
            f"more than {MAX_PIXELS // 1_000_000}: save it smaller"
        )
    if min(width, height) < min_side:
        raise Unusable(
            f"{width} x {height} px is too small: both sides need {min_side} px or more; "
            "use a larger original"
        )
    # A HEIC with several pictures says which is the main one, and Pillow gives that.
    if getattr(image, "is_animated", False) and image.format != "HEIF":
        if image.format == "TIFF":
            raise Unusable("several pages: save the one you want as JPEG or PNG")
        raise Unusable("animated: save the frame you want as JPEG or PNG")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF does not make a damaged picture
        return 1


_decoding = threading.Lock()


@contextmanager
def _whole_pictures_only() -> Iterator[None]:
    """Refuse half-grey pictures even where a notebook asked Pillow for them.

    Pillow has one flag a process. For the time of one decoding it is at its default; the lock
    keeps a second thread from taking that default for what the notebook asked for.
    """
    with _decoding:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _ignored(path: Path) -> bool:
    return (
        path.name.startswith(".")
        or path.name.lower() in _IGNORED_NAMES
        or path.suffix.lower() in _IGNORED_SUFFIXES
    )


def _is_folder(path: Path) -> bool:
    """Whether it is a folder and named like one; `photo.jpg/` deserves a word."""
    try:
        return path.is_dir() and not path.suffix
    except PermissionError:
        return False  # what it is gets asked, and answered, again when it is read


def _natural(path: Path) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], path.name
