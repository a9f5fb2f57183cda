"""A stop that loses nothing: SIGTERM (spot interruption, `lensa stop`) is noticed between steps."""

from __future__ import annotations

import signal
from types import FrameType


class Stopped(Exception):
    """The job was asked to stop, and everything worth keeping is saved."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


class StopRequest:
    """Set by SIGTERM or SIGINT, read between steps. SageMaker allows 120 s before SIGKILL."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> StopRequest:
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.requested = True
