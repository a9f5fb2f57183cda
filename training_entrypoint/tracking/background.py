"""A tracker in a thread of its own: no server, however slow or dead, holds up a training."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from training_entrypoint.tracking.sink import Sink

Call = Callable[[Sink], None]

_MOST_WAITING = 2000  # calls: a tracker that takes none must not fill the memory


class Background:
    """Hands calls on to what `opening` returns, in their order. No method raises or waits, but
    `close`, and that so long at most.

    What goes wrong is in `notices`, once; from then on everything is forgotten.
    """

    def __init__(self, opening: Callable[[Callable[[str], None]], Sink], name: str) -> None:
        """`opening` is called in the thread, with who is told of what the user should know."""
        self.name = name
        self._calls: queue.Queue[Call | None] = queue.Queue(_MOST_WAITING)
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lost = False
        self._thread = threading.Thread(
            target=self._run, args=(opening,), name="tracker", daemon=True
        )
        self._thread.start()

    def call(self, call: Call) -> None:
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            if not self._lost:
                self._notices.put(f"{self.name} takes no more: some of what was told is left out")
            self._lost = True

    def notices(self) -> list[str]:
        """Return what there is to say since it was asked last."""
        said = []
        while not self._notices.empty():
            said.append(self._notices.get())
        return said

    def close(self, exit_code: int, seconds: float) -> bool:
        """End it, and return whether it has ended within so many seconds."""
        end = time.monotonic() + seconds
        for call in (lambda sink: sink.close(exit_code), None):
            try:
                self._calls.put(call, timeout=max(0.0, end - time.monotonic()))
            except queue.Full:
                return False
        self._thread.join(max(0.0, end - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self, opening: Callable[[Callable[[str], None]], Sink]) -> None:
        sink: Sink | None = None
        try:
            sink = opening(self._notices.put)
        except BaseException as error:
            self._say(error)
        while (call := self._calls.get()) is not None:
            if sink is None:
                continue
            try:
                call(sink)
            except BaseException as error:
                self._say(error)
                sink = None

    def _say(self, error: BaseException) -> None:
        reason: Any = str(error).strip().splitlines() or [type(error).__name__]
        self._notices.put(f"{self.name} is left out from here: {reason[0][:300]}")
