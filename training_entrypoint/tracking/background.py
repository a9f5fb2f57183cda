"""A tracker in a thread of its own: no server, however slow or dead, holds up a training."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from training_entrypoint.tracking.sink import Sink

Call = Callable[[Sink], None]

_MOST_WAITING = 2000  # calls: a tracker that takes none must not fill the memory
_GIVING_UP = 10  # calls in a row that failed


class Background:
    """Hands calls on to what `opening` returns, in their order. No method raises or waits, but
    `close`, and that so long at most.

    What goes wrong is in `notices`, once. One call that fails costs no other; after ten in a row
    nothing more is tried. What was opened is closed in any case.
    """

    def __init__(self, opening: Callable[[Callable[[str], None]], Sink], name: str) -> None:
        """`opening` is called in the thread, with who is told of what the user should know."""
        self.name = name
        self._calls: queue.Queue[Call | None] = queue.Queue(_MOST_WAITING)
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lost = self._missing = False  # whether that was said
        self._exit_code = 0
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
        self._exit_code = exit_code
        try:
            self._calls.put(None, timeout=seconds)
        except queue.Full:
            return False
        self._thread.join(max(0.0, end - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self, opening: Callable[[Callable[[str], None]], Sink]) -> None:
        sink: Sink | None = None
        failed = 0  # calls in a row
        try:
            sink = opening(self._notices.put)
        except BaseException as error:
            self._say("is left out from here", error)
        while (call := self._calls.get()) is not None:
            if sink is None or failed == _GIVING_UP:
                continue
            try:
                call(sink)
                failed = 0
            except BaseException as error:
                failed += 1
                self._failed(failed, error)
        if sink is None:
            return
        try:
            sink.close(self._exit_code)
        except BaseException as error:
            self._say("could not be closed", error)

    def _failed(self, times: int, error: BaseException) -> None:
        if times == _GIVING_UP:
            self._say("is left out from here", error)
        elif not self._missing:
            self._missing = True
            self._say("did not take all that it was told", error)

    def _say(self, what: str, error: BaseException) -> None:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        self._notices.put(f"{self.name} {what}: {reason[0][:300]}")
