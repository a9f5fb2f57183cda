"""What is moved to and from S3. Keys are relative to the bucket's prefix."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

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


def follow(
    happened: queue.SimpleQueue[int | None],
    futures: Sequence[Any],
    result: Callable[[Any], object],
    total: int,
    on_progress: Progress | None,
    done: int = 0,
) -> None:
    """Return when every future has put None into the queue, telling of the bytes that come before.

    The first failure ends it all: it is raised by `result`, which is asked of each future that is
    done.
    """
    running = len(futures)
    while running:
        step = happened.get()
        if step is not None:
            done += step
            if on_progress is not None:
                on_progress(done, total)
            continue
        running -= 1
        for future in futures:
            if future.done():
                result(future)
