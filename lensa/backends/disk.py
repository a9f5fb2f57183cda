"""Writing to disk so that a file is whole or not there, with errors that say what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lensa.errors import StorageError


@contextmanager
def storage(where: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into a StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageError(
                f"the disk is full: {where} cannot be written. Free some space, or set LENSA_HOME "
                "to a folder on another disk."
            ) from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            raise StorageError(
                f"{where} cannot be written ({error.strerror}). Mend its permissions, or set "
                "LENSA_HOME to a folder of your own."
            ) from None
        raise


def make_folder(path: Path) -> Path:
    with storage(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with storage(path):
            partial.write_bytes(content)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
