"""What is moved to and from S3. Keys are relative to the bucket's prefix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from lensa.errors import StorageError

Progress = Callable[[int, int], None]  # bytes done, bytes in all

THREADS = 8

_TYPES = {
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".manifest": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
}


@dataclass(frozen=True)
class Blob:
    """Something to upload. Keys are content-addressed: the same key means the same content."""

    key: str
    data: bytes | Path

    @property
    def size(self) -> int:
        """In bytes; StorageError if the file cannot be read."""
        if isinstance(self.data, bytes):
            return len(self.data)
        try:
            return self.data.stat().st_size
        except OSError as error:
            raise StorageError(f"{self.data} cannot be read ({error.strerror}).") from None


@dataclass(frozen=True)
class Object:
    """Something in the bucket."""

    key: str
    size: int  # bytes
    modified: datetime


def content_type(key: str) -> str:
    return _TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")
