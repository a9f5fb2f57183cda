"""The twin's clock: real time, plus whatever a test adds to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Time as the twin's AWS sees it. Real time passes as well, unless the clock is frozen.

    Limits of jobs, the two minutes after SIGTERM, timestamps and bills follow this clock; how long
    a container really computes does not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Whole microseconds: a deadline is met to the digit when a test advances right up to it.
        self._offset = 0
        self._frozen: int | None = None
        self._told: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """This moment, in UTC."""
        with self._lock:
            base = _real() if self._frozen is None else self._frozen
            return _EPOCH + timedelta(microseconds=base + self._offset)

    def timestamp(self) -> float:
        """The same moment in seconds since 1970."""
        return self.now().timestamp()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once. Raises ValueError if they are negative."""
        if seconds < 0:
            raise ValueError(f"the clock only goes forward, not by {seconds} seconds")
        with self._lock:
            self._offset += round(seconds * 1e6)
        for moved in self._told:
            moved()

    def tell(self, moved: Callable[[], None]) -> None:
        """Call `moved` whenever the clock has been moved."""
        self._told.append(moved)

    def freeze(self) -> None:
        """Stop real time: from here on only `advance` moves the clock."""
        with self._lock:
            if self._frozen is None:
                self._frozen = _real()

    def resume(self) -> None:
        """Let real time pass again, from where the clock stands."""
        with self._lock:
            if self._frozen is not None:
                self._offset += self._frozen - _real()
                self._frozen = None


def _real() -> int:
    return time.time_ns() // 1000
