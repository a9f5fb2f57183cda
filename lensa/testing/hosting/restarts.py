"""When a container that has ended is started again: soon, and later each time it does not last.

In real seconds: what a container costs is this machine's time.
"""

from __future__ import annotations

_FIRST, _LONGEST = 0.1, 30.0  # seconds from an end to the next start
_LASTED = 10.0  # seconds of a life after which the next end is a first one again


class Restarts:
    """The pauses of one endpoint. Times are those of a clock that only runs forward."""

    def __init__(self) -> None:
        self._ended = 0
        self._not_before = self._started = float("-inf")

    def may(self, now: float) -> bool:
        """Say whether a container may be started now."""
        return now >= self._not_before

    def started(self, now: float) -> None:
        """Note that one is up."""
        self._started = now

    def ended(self, now: float) -> None:
        """Note that one has ended by itself, or did not come up."""
        if now - self._started >= _LASTED and self._started >= self._not_before:
            self._ended = 0
        self._not_before = now + min(_FIRST * 2**self._ended, _LONGEST)
        self._ended += 1
