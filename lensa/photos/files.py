"""Photos on this machine: find them in a folder, open one safely."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path, PurePath
from typing import BinaryIO

from PIL import Image

from lensa.errors import PhotosError
from lensa.photos.bounds import MAX_PIXELS, check_file
from lensa.photos.formats import Unusable
from lensa.photos.reading import read_picture

__all__ = [
    "CAPTION",
    "MAX_PIXELS",
    "Unusable",
    "find_photos",
    "is_ignored",
    "natural",
    "open_file",
    "read_photo",
]

MAX_FILES = 10_000  # in a tree of folders, a zip or a bucket: more is a whole disk, by mistake

CAPTION = ".txt"  # photo.txt says what photo.jpg shows: see lensa.photos.captions

# What lies beside photos and is never one: captions, edits, what operating systems leave.
_IGNORED_SUFFIXES = {CAPTION, ".json", ".aae", ".xmp"}
_IGNORED_NAMES = {"thumbs.db", "desktop.ini"}


def find_photos(source: Path, *, recursive: bool = False) -> list[Path]:
    """Return the files of a folder that may be photos, in the order people count: 2 before 10.

    Folders inside are entered only if `recursive`; links to folders and hidden folders never.
    Raises PhotosError if there is no such folder, nothing in it, or more than 10,000 files.
    """
    source = source.expanduser()
    try:
        entries = sorted(source.iterdir(), key=lambda path: natural(path.name))
    except FileNotFoundError:
        raise PhotosError(f"No such folder: {source}. Give the one with the photos.") from None
    except NotADirectoryError:
        raise PhotosError(f"{source} is a file. Give the folder with the photos.") from None
    except OSError as error:
        raise PhotosError(f"{source} cannot be opened: {error.strerror}.") from None
    if recursive:
        found = _tree(source)
        if not found:
            raise PhotosError(f"No photos in {source} or below. Put JPEG or PNG photos into it.")
        return found
    entries = [path for path in entries if not is_ignored(path)]
    folders = [path for path in entries if _is_folder(path)]
    if len(folders) == len(entries):
        names = ", ".join(path.name for path in folders[:5])
        inside = (
            f"Is it a folder in it ({names})? With `recursive`, all of them are read."
            if folders
            else "Put JPEG or PNG photos into it."
        )
        raise PhotosError(f"No photos in {source}. {inside}")
    return [path for path in entries if path not in folders]


def read_photo(path: Path, min_side: int, enough: int | None = None) -> Image.Image:
    """Return a photo's pixels: see lensa.photos.reading.read_picture. Raises Unusable."""
    return read_picture(lambda: open_file(path), path.suffix, min_side, enough).image


def open_file(path: Path) -> BinaryIO:
    """Open a regular file of bearable size. Raises Unusable, PermissionError."""
    try:
        status = path.stat()
    except PermissionError:
        raise
    except OSError:
        raise Unusable(
            "a link to a file that is not there: put the photo itself here"
            if path.is_symlink()
            else "no such file"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise Unusable("a folder, whatever its name says: move the photos in it up here")
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for somebody to write into it
        raise Unusable("a pipe, socket or device, not a file: put the photo itself here")
    check_file(status.st_size)
    return path.open("rb")


def is_ignored(path: PurePath) -> bool:
    """Whether it is hidden, or what lies beside photos and is none."""
    return (
        path.name.startswith(".")
        or path.name.lower() in _IGNORED_NAMES
        or path.suffix.lower() in _IGNORED_SUFFIXES
    )


def natural(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts names as people count."""
    parts = re.split(r"(\d{1,18})", name.casefold())  # Python reads no number of 5,000 digits
    return [int(part) if part.isdecimal() else part for part in parts], name


def _tree(source: Path) -> list[Path]:
    found: list[Path] = []
    for folder, inside, files in os.walk(source, followlinks=False):
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [path for name in files if not is_ignored(path := Path(folder, name))]
        if len(found) > MAX_FILES:
            raise PhotosError(
                f"{source} holds more than {MAX_FILES} files. Give the folder with the photos."
            )
    return sorted(found, key=lambda path: natural(path.relative_to(source).as_posix()))


def _is_folder(path: Path) -> bool:
    """Whether it is a folder and named like one; `photo.jpg/` deserves a word."""
    try:
        return path.is_dir() and not path.suffix
    except PermissionError:
        return False  # what it is gets asked, and answered, again when it is read
