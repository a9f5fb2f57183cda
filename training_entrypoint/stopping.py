"""A stop that loses nothing: SIGTERM (spot interruption, `lensa stop`) ends the job in time.

SageMaker allows 120 s before SIGKILL. Between steps the request is looked at, where nothing can be
lost it interrupts, and what hangs all the same is left behind before the time is over.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 100.0  # seconds


class Stopped(BaseException):
    """The job was asked to stop, and everything worth keeping is saved.

    Not an Exception: a library that catches those would train on.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


class StopRequest:
    """Set by SIGTERM or SIGINT. `step` is that of the newest checkpoint."""

    def __init__(self) -> None:
        self.requested = False
        self.step = 0
        self._at_once = False
        self._late: Callable[[], None] | None = None
        self._patience = PATIENCE

    def listen(
        self, late: Callable[[], None] | None = None, patience: float = PATIENCE
    ) -> StopRequest:
        """Take the signals. `late` says that the process ends without having finished its work,
        `patience` seconds after the first signal."""
        self._late, self._patience = late, patience
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        return self

    def check(self, *_: object) -> None:
        """Raise Stopped if a stop was requested. Takes anything, to serve as a callback."""
        if self.requested:
            raise Stopped(self.step)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is done within has nothing to save: a stop interrupts it where it stands."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False
        self.check()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if not self.requested and self._late is not None:
            timer = threading.Timer(self._patience, self._leave)
            timer.daemon = True
            timer.start()
        self.requested = True
        if self._at_once:
            raise Stopped(self.step)

    def _leave(self) -> None:
        assert self._late is not None
        self._late()
        os._exit(143)
