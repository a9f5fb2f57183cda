"""Photos as they go into training, and the files they become."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lensa.errors import StorageError


@dataclass(frozen=True)
class Photo:
    """A prepared photo: a square PNG of pixels alone, RGB, or RGBA if it has a mask.

    The mask of its subject is the alpha channel; below it the picture is whole.
    """

    name: str  # of the file that it was made from
    png: bytes = field(repr=False)
    sha256: str  # of `png`
    box: tuple[int, int, int, int] = (0, 0, 0, 0)  # what was kept, in pixels of the original
    masked: bool = False
    caption: str = ""  # what it is learned by; "": by the instance prompt

    @property
    def files(self) -> dict[str, bytes]:
        """What the photo is in a folder or a bucket: `<sha256>.png`, and its caption.

        A caption's name changes with its text: trainings share a bucket's photos, and another one
        may have the same photo with other words.
        """
        files = {f"{self.sha256}.png": self.png}
        if self.caption:
            text = self.caption.encode()
            files[f"{self.sha256}.{hashlib.sha256(text).hexdigest()[:16]}.txt"] = text
        return files

    @property
    def side(self) -> int:
        """Pixels of the original that each side of the square was made from."""
        return self.box[2] - self.box[0]


@dataclass(frozen=True)
class PhotoSet:
    """The photos of one subject, prepared, in the order of their names."""

    size: int  # pixels a side
    photos: tuple[Photo, ...]
    rejected: dict[str, str]  # file -> why it was left out
    notes: tuple[str, ...]  # what was done that one might not expect

    @property
    def digests(self) -> tuple[str, ...]:
        """The sha256 of each photo. Stable for one version of Pillow, which packs the PNG."""
        return tuple(photo.sha256 for photo in self.photos)

    @property
    def identity(self) -> tuple[str, ...]:
        """What a training is made of: the digest of each photo, and of its caption if any."""
        return tuple(list(photo.files)[-1].removesuffix(".png") for photo in self.photos)

    def write(self, folder: Path) -> None:
        """Write each photo's files, all of them or none; the folder is made if need be.

        Raises StorageError.
        """
        written: list[Path] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in (item for photo in self.photos for item in photo.files.items()):
                target = folder / name
                new = not target.exists()
                write_whole(target, content)
                if new:
                    written.append(target)
        except OSError as error:
            for target in written:
                target.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                megabytes = sum(len(photo.png) for photo in self.photos) / 1e6
                raise StorageError(
                    f"The disk is full: the photos need {megabytes:.1f} MB in {folder}. "
                    "Free some space or choose another folder."
                ) from error
            raise StorageError(f"{folder} cannot be written: {error.strerror}.") from error


def write_whole(target: Path, data: bytes) -> None:
    """Let a file appear whole or not at all."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
