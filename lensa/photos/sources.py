"""Whatever people give for photos, as a list of things to open.

A folder, a file, a zip, an address in S3, PIL images, binary file objects, or a list of any of
these.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, TypeAlias

from PIL import Image

from lensa.errors import ConfigError, PhotosError
from lensa.photos.archive import is_zip, zip_entries
from lensa.photos.bounds import MAX_FILE, check_file
from lensa.photos.files import CAPTION, MAX_FILES, find_photos, is_ignored, natural, open_file
from lensa.photos.formats import Unusable
from lensa.photos.reading import Opener

__all__ = [
    "Buckets",
    "Objects",
    "PhotoInput",
    "Source",
    "described",
    "find_sources",
    "named_after",
]

PhotoItem: TypeAlias = str | os.PathLike[str] | Image.Image | BinaryIO
PhotoInput: TypeAlias = PhotoItem | Sequence[PhotoItem]

_STILLS = {".heic", ".heif", ".jpg", ".jpeg"}
_FILMS = {".mov", ".mp4"}
_S3 = "s3://"


@dataclass(frozen=True)
class Source:
    """One thing that may be a photo."""

    name: str  # printable, and unique among those of one call
    suffix: str
    open: Opener  # raises Unusable, or whatever there is to raise
    path: Path | None = None  # the file itself, where it is one of this machine
    caption: Opener | None = None  # the text beside it


class S3Object(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...


class Objects(Protocol):
    """The objects of one bucket, by their whole keys."""

    def list(self, prefix: str) -> Iterator[Any]:
        """Yield an S3Object for each key that begins with `prefix`."""

    def read(self, key: str) -> bytes | None: ...


Buckets = Callable[[str], Objects]  # how to reach a bucket by its name


def find_sources(
    photos: PhotoInput, *, recursive: bool = False, buckets: Buckets | None = None
) -> list[Source]:
    """Return what may be a photo, in the order people count, nothing opened yet.

    Folders inside a folder, or below an S3 prefix, are entered only if `recursive`; those in a zip
    always. The film of a Live Photo is left out: its still is there. `buckets` reads S3. Raises
    PhotosError if there is nothing.
    """
    items: Iterable[Any] = (
        photos if isinstance(photos, Sequence) and not isinstance(photos, str) else [photos]
    )
    sources: list[Source] = []
    for number, item in enumerate(items, start=1):
        sources += _sources(item, number, recursive, buckets)
    if not sources:
        raise PhotosError("No photos were given. Give a folder, a zip, or a list of photos.")
    return _unique(_without_films(sources))


def described(photos: PhotoInput) -> str:
    """Return how an error names all that was given."""
    if isinstance(photos, str | os.PathLike):
        return shown(os.fspath(photos))
    return "the photos"


def named_after(photos: PhotoInput) -> str:
    """Return a subject's name made of the folder's or the zip's; ConfigError if it has none."""
    if not isinstance(photos, str | os.PathLike):
        raise ConfigError("the subject has no name: say subject='ada', or give a folder.")
    given = os.fspath(photos)
    if given.startswith(_S3):
        name = PurePosixPath(given.removeprefix(_S3)).name
    else:
        path = Path(given).expanduser().resolve()
        name = path.stem if path.suffix.lower() == ".zip" else path.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:63]


def shown(name: str) -> str:
    """Return a name that can be printed: names may hold escape sequences and broken Unicode."""
    return "".join(character if character.isprintable() else "?" for character in name)


def _sources(item: Any, number: int, recursive: bool, buckets: Buckets | None) -> list[Source]:
    if isinstance(item, str) and item.startswith(_S3):
        return _in_bucket(item, recursive, buckets)
    if isinstance(item, str | os.PathLike):
        return _on_disk(Path(os.fspath(item)).expanduser(), recursive)
    if isinstance(item, Image.Image):
        name = Path(str(getattr(item, "filename", "") or f"image {number}")).name
        return [Source(shown(name), "", lambda: item)]
    if hasattr(item, "read"):
        named = getattr(item, "name", None)
        name = Path(named).name if isinstance(named, str) else f"file {number}"
        return [Source(shown(name), Path(name).suffix, lambda: _content(item))]
    raise PhotosError(
        f"{type(item).__name__} is nothing that photos are in: give paths, PIL images or files "
        "opened with 'rb'."
    )


def _on_disk(path: Path, recursive: bool) -> list[Source]:
    try:
        if is_zip(path):
            return [
                Source(
                    shown(entry.name),
                    PurePosixPath(entry.name).suffix,
                    entry.open,
                    caption=entry.caption,
                )
                for entry in zip_entries(path)
            ]
        if path.is_dir() or not os.path.lexists(path):
            return [
                _file(found, found.relative_to(path).as_posix())
                for found in find_photos(path, recursive=recursive)
            ]
    except (OSError, ValueError) as error:  # a name too long, a zero byte, a folder that is closed
        reason = getattr(error, "strerror", None) or error
        raise PhotosError(f"{shown(str(path))} cannot be opened: {reason}.") from None
    return [_file(path, path.name)]


def _file(path: Path, name: str) -> Source:
    text = path.with_suffix(CAPTION) if path.name else path
    return Source(
        shown(name),
        path.suffix,
        lambda: open_file(path),
        path,
        caption=(lambda: open_file(text)) if _is_file(text) else None,
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long
        return False


def _content(file: Any) -> BinaryIO:
    """Read a file object from where it stands, and put it back there."""
    with _reading:
        start = file.tell() if _seekable(file) else None
        data = file.read(MAX_FILE + 1)
        if start is not None:
            file.seek(start)
    if isinstance(data, str):
        raise Unusable("opened as text: open it with 'rb'")
    check_file(len(data))
    return io.BytesIO(data)


def _seekable(file: Any) -> bool:
    return bool(file.seekable()) if hasattr(file, "seekable") else hasattr(file, "seek")


_reading = threading.Lock()  # one file object may be given twice


def _in_bucket(address: str, recursive: bool, buckets: Buckets | None) -> list[Source]:
    if buckets is None:
        raise PhotosError(f"{address}: photos in S3 are read by lensa.train and lensa check.")
    bucket, _, prefix = address.removeprefix(_S3).partition("/")
    if not bucket:
        raise PhotosError(f"{address} names no bucket: s3://BUCKET/FOLDER is what it looks like.")
    objects = buckets(bucket)
    folder = f"{prefix.rstrip('/')}/" if prefix else ""
    found: list[S3Object] = []
    texts: dict[str, S3Object] = {}  # by the key without its suffix
    for item in objects.list(folder):
        name = PurePosixPath(item.key[len(folder) :])
        if name.suffix == CAPTION and len(texts) < MAX_FILES:
            texts[posixpath.splitext(item.key)[0]] = item
        if item.key.endswith("/") or any(part.startswith(".") for part in name.parts):
            continue
        if is_ignored(name) or (len(name.parts) > 1 and not recursive):
            continue
        found.append(item)
        if len(found) > MAX_FILES:
            raise PhotosError(f"{address} holds more than {MAX_FILES} objects: name a folder.")
    if not found:
        raise PhotosError(f"No photos in {address}. Is it the right folder of the right bucket?")
    found.sort(key=lambda item: natural(item.key))
    return [
        Source(
            shown(item.key[len(folder) :]),
            PurePosixPath(item.key).suffix,
            _download(objects, item),
            caption=_download(objects, text) if text is not None else None,
        )
        for item in found
        for text in [texts.get(posixpath.splitext(item.key)[0])]
    ]


def _download(objects: Objects, item: S3Object) -> Opener:
    def open_it() -> BinaryIO:
        check_file(item.size)
        content = objects.read(item.key)
        if content is None:
            raise Unusable("no longer in the bucket")
        return io.BytesIO(content)

    return open_it


def _without_films(sources: list[Source]) -> list[Source]:
    """Leave out the film of a Live Photo: IMG_1.MOV, where there is an IMG_1.HEIC."""
    stills = {_stem(source) for source in sources if source.suffix.lower() in _STILLS}
    return [
        source
        for source in sources
        if source.suffix.lower() not in _FILMS or _stem(source) not in stills
    ]


def _stem(source: Source) -> str:
    return PurePosixPath(source.name).with_suffix("").as_posix().casefold()


def _unique(sources: list[Source]) -> list[Source]:
    seen: set[str] = set()
    named = []
    for source in sources:
        name, count = source.name, 1
        while name in seen:
            count += 1
            name = f"{source.name} ({count})"
        seen.add(name)
        named.append(source if name == source.name else replace(source, name=name))
    return named
