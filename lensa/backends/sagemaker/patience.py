"""Patience: with throttling, and with answers that break off.

botocore gives up on a throttled call after some attempts, and on every call once all of them
together have been throttled a hundred times. Both are for servers. Somebody who waits for an avatar
would rather wait a minute longer.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ATTEMPTS = 240  # a call; about a quarter of an hour
_LONGEST_SECONDS = 5.0

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)


_thread = threading.local()


class Stopped(Exception):
    """Nobody waits for the answer any more."""


def be_patient(client: Any) -> None:
    """Let a client go on where botocore's own retries end, if all that AWS says is: slower."""
    client.meta.events.register("needs-retry", _wait_longer, unique_id="lensa-patience")
    client.meta.events.register("request-created", _stop, unique_id="lensa-stop")


@contextmanager
def until(stop: threading.Event) -> Iterator[None]:
    """Make no further attempt in this thread once `stop` is set; what is tried raises Stopped."""
    _thread.stop = stop
    try:
        yield
    finally:
        del _thread.stop


def _stop(**_: Any) -> None:
    stop: threading.Event | None = getattr(_thread, "stop", None)
    if stop is not None and stop.is_set():
        raise Stopped


def broken_off() -> tuple[type[Exception], ...]:
    """Return what is raised when an answer began and then ended early, or came damaged: botocore
    repeats only what did not begin."""
    from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError

    return (FlexibleChecksumError, HTTPClientError, IncompleteReadError)


def _wait_longer(attempts: int, response: Any = None, **_: Any) -> float | None:
    """Return the seconds to wait before the next attempt, or None to let the call fail.

    Asked at every attempt; botocore's own answer comes first, if it has one.
    """
    if response is None or attempts >= ATTEMPTS:
        return None
    _, parsed = response
    if parsed.get("Error", {}).get("Code") not in THROTTLED:
        return None
    return random.uniform(0.25, 1) * min(2.0 ** min(attempts - 1, 10), _LONGEST_SECONDS)
