"""Waiting for an endpoint: each wait is told of, longer than the last one, and they end."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from lensa.errors import EndpointBusy

T = TypeVar("T")
OnWait = Callable[[str], None]

WAIT_SECONDS = 900.0  # for one answer; a machine that wakes takes minutes
LONGEST_SECONDS = 30.0  # between two questions
_AGAIN_SECONDS = 60.0  # until the log says the same once more

log = logging.getLogger("lensa")


class Wait:
    """The waits for one answer, `seconds` in all. They are told to `on_wait`, and the log "lensa"
    hears of the first one, of one for another reason, and of one a minute."""

    def __init__(
        self,
        seconds: float,
        *,
        first: float = 1.0,
        longest: float = LONGEST_SECONDS,
        on_wait: OnWait | None = None,
    ) -> None:
        self._end = time.monotonic() + seconds
        self._next, self._longest, self._on_wait = first, longest, on_wait
        self._told, self._told_at = "", 0.0

    def pause(self, shown: str, why: str, *, seconds: float = 0) -> bool:
        """Wait, and return whether there was time left to.

        In `shown`, "{wait}" stands for the wait and "{why}" for the reason. `seconds` is how long,
        if whoever is waited for has said so.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            return False
        # Those who wait together must not come back together: not all at once, every time.
        wait = seconds or self._next * random.uniform(0.5, 1)
        self._next = min(self._next * 2, self._longest)
        wait = min(wait, self._longest, left)
        self._tell(shown.format(wait=f"{wait:.2g} s", why=why), why)
        time.sleep(wait)
        return True

    def _tell(self, text: str, why: str) -> None:
        now = time.monotonic()
        if why != self._told or now - self._told_at >= _AGAIN_SECONDS:
            self._told, self._told_at = why, now
            log.warning("%s", text)
        if self._on_wait is not None:
            self._on_wait(text)


def until_answered(ask: Callable[[], T], wait: Wait) -> T:
    """Ask until the answer is not EndpointBusy. Raises the last one when the time is over."""
    while True:
        try:
            return ask()
        except EndpointBusy as busy:
            shown = "the endpoint is busy, asking again in {wait}: {why}"
            if not wait.pause(shown, str(busy), seconds=busy.retry_after):
                raise
