"""Photos in a zip, read in memory one by one: nothing is unpacked, so no path leads anywhere."""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lensa.errors import PhotosError
from lensa.photos.bounds import MAX_FILE, check_file
from lensa.photos.files import CAPTION, MAX_FILES, is_ignored, natural
from lensa.photos.formats import Unusable

_MAX_DIRECTORY = 4_000_000  # bytes of a zip's table of contents: 40,000 names
_END = struct.Struct("<4s4H2LH")  # the record behind it (APPNOTE.TXT, 4.3.16)
_ENCRYPTED = 0x1
_TIGHT, _TIGHT_FROM = 200, 10_000_000  # a photo is packed already: zip wins next to nothing


@dataclass(frozen=True)
class Entry:
    """A file in a zip that may be a photo."""

    name: str  # its path in the zip
    open: Callable[[], BinaryIO]  # raises Unusable, and whatever zipfile raises
    caption: Callable[[], BinaryIO] | None = None  # of the text beside it


def is_zip(path: Path) -> bool:
    """Whether a path is named like a zip and is a file."""
    return path.suffix.lower() == ".zip" and path.is_file()


def zip_entries(path: Path) -> list[Entry]:
    """Return what may be a photo in a zip, folders in it included, in the order people count.

    Raises PhotosError if it cannot be read as a zip, or holds nothing of the kind.
    """
    try:
        if _directory_size(path) > _MAX_DIRECTORY:
            raise PhotosError(f"{path} holds too many files. Give the photos alone.")
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except PhotosError:
        raise
    except PermissionError:
        raise PhotosError(f"{path} cannot be opened: no permission.") from None
    except Exception:  # zipfile, too, raises all sorts of things for a damaged directory
        raise PhotosError(f"{path} is no whole zip: download or pack it again.") from None
    files = [info for info in infos if not info.is_dir() and not _is_clutter(info.filename)]
    if not files:
        raise PhotosError(f"No photos in {path}. Pack JPEG or PNG photos into it.")
    if len(files) > MAX_FILES:
        raise PhotosError(f"{path} holds {len(files)} files. Give the photos alone.")
    files.sort(key=lambda info: natural(info.filename))
    texts = {_plain(info): _opener(path, info) for info in infos if _is_caption(info.filename)}
    return [Entry(info.filename, _opener(path, info), texts.get(_plain(info))) for info in files]


def _is_caption(name: str) -> bool:
    return PurePosixPath(name).suffix == CAPTION


def _plain(info: zipfile.ZipInfo) -> str:
    return posixpath.splitext(info.filename)[0]


def _opener(path: Path, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    def open_entry() -> BinaryIO:
        _check(info)
        try:
            with zipfile.ZipFile(path) as archive, archive.open(info) as entry:
                # Never more than was declared and checked, whatever the packed data goes on to be.
                return io.BytesIO(entry.read(min(info.file_size, MAX_FILE)))
        except NotImplementedError:
            raise Unusable("packed in an unusual way: pack it as an ordinary zip") from None

    return open_entry


def _check(info: zipfile.ZipInfo) -> None:
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:3] == ":/":
        raise Unusable("its path leads out of the zip: not touched; pack the photos anew")
    if info.flag_bits & _ENCRYPTED:
        raise Unusable("encrypted: unpack the zip with its password and give the folder")
    check_file(info.file_size)
    if info.file_size > max(_TIGHT_FROM, _TIGHT * info.compress_size):
        raise Unusable(
            f"unpacks to {info.file_size // max(info.compress_size, 1)} times its size, which no "
            "photo does: not touched"
        )


def _is_clutter(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    hidden = any(part.startswith(".") and part not in (".", "..") for part in parts[:-1])
    return hidden or "__MACOSX" in parts or is_ignored(PurePosixPath(*parts))


def _directory_size(path: Path) -> int:
    """Return the size of the table of contents that zipfile is about to read, in bytes."""
    with path.open("rb") as file:
        end = file.seek(0, io.SEEK_END)
        file.seek(max(0, end - 65_536 - _END.size))
        tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < _END.size:
        raise zipfile.BadZipFile
    size: int = _END.unpack_from(tail, place)[5]
    return size
