"""Locks that a dead process cannot hold.

An flock belongs to the open file, and a child that inherits the file keeps the lock. So the lock
of a subject, taken by the client and handed to the trainer, says by itself whether the trainer
lives: no pid to be reused, no stale file after a kill -9.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from lensa.backends.disk import make_folder, storage


class Lock:
    """An exclusive lock on a file, with a line of text that says who holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Return False if somebody else holds it."""
        make_folder(self.path.parent)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for attempt in range(5):
            if attempt:
                time.sleep(0.02)  # `holder` of another process shares the lock for an instant
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._fd = fd
                return True
        os.close(fd)
        return False

    def wait(self) -> None:
        """Acquire, waiting for whoever holds it."""
        make_folder(self.path.parent)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    @property
    def fd(self) -> int:
        """The descriptor to hand to a child."""
        assert self._fd is not None, "the lock is not held"
        return self._fd

    def note(self, text: str) -> None:
        """Write who holds it."""
        with storage(self.path):
            os.ftruncate(self.fd, 0)
            os.pwrite(self.fd, text.encode(), 0)

    def release(self) -> None:
        """Close our own descriptor; a child that inherited the lock keeps it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def holder(self) -> str | None:
        """Return the holder's note, or None if nobody holds the lock."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            return os.pread(fd, 4096, 0).decode(errors="replace")
        finally:
            os.close(fd)

    def __enter__(self) -> Lock:
        self.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
