"""How long an endpoint is kept: its end is set, kept where it is, or moved by use."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.options import lifetime
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import EndpointState

_LOOK_SECONDS = 300.0  # between two looks at the end, however often the endpoint is used


class Lease:
    """The end of an endpoint that is extended by use, as long as somebody uses it."""

    def __init__(self, account: Account, state: EndpointState) -> None:
        self._schedules, self._endpoint = Schedules(account), state.name
        self._kept = lifetime(state.keep) if state.extend and state.keep else None
        self._lock = threading.Lock()
        self._looked: float | None = None

    def used(self) -> None:
        """Let the time begin anew if less than half of it is left. One thread in five minutes asks
        AWS; the others pass."""
        if self._kept is None:
            return
        with self._lock:
            now = time.monotonic()
            if self._looked is not None and now - self._looked < min(
                _LOOK_SECONDS, self._kept.total_seconds() / 8
            ):
                return
            self._looked = now
        extend(self._schedules, self._endpoint, self._kept)

    def end(self) -> datetime | None:
        """When the endpoint ends; None: never."""
        return self._schedules.end(self._endpoint)


def extend(schedules: Schedules, endpoint: str, kept: timedelta) -> datetime | None:
    """Move an end of which less than half of the time is left, and return when it is now.

    An endpoint without an end gets none: somebody took it, or it has just been reached.
    """
    end, now = schedules.end(endpoint), datetime.now(UTC)
    if end is None or end - now >= kept / 2:
        return end
    schedules.move(endpoint, now + kept)
    return now + kept
