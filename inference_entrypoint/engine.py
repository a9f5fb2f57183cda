"""The server's side of drawing: a queue with a bound, and a process that draws.

If that process dies, what it was drawing is answered with an error, what waited goes on waiting,
and another one is started.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from inference_entrypoint.channel import (
    Answered,
    Ask,
    Batch,
    Begun,
    Drawn,
    Failed,
    FromDrawer,
    FromServer,
    Hurry,
    Leave,
    Ready,
    Refused,
    Step,
    pair,
)
from inference_entrypoint.metrics import Metrics
from inference_entrypoint.statuses import GOING, Busy

log = logging.getLogger("lensa.server")

_STARTS = 3  # in a row that may fail before the server gives up
_TRIES = 2  # of a request that was not begun: it may be what kills
_DIED = (
    "the process that draws died in the middle of this request, and is being started again: ask "
    "once more."
)

State = Literal["loading", "ready", "failed"]
Outgoing = SimpleQueue[FromServer | None]  # None: nothing more
Event = Begun | Step | Drawn | Answered | Refused


class QueueFull(Busy):
    """No place is left."""

    def __init__(self, capacity: int, retry_after: int) -> None:
        super().__init__(f"{capacity} requests are waiting already.", retry_after)


@dataclass(eq=False)
class Ticket:
    """A place in the queue: `await next()` until it is an answer or a refusal."""

    ask: Ask
    leave: Callable[[Ticket], None]
    begun: bool = False
    ended: bool = False
    tries: int = 1
    _events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)

    async def next(self) -> Event:
        return await self._events.get()

    def hear(self, event: Event) -> None:
        self._events.put_nowait(event)

    def abandon(self) -> None:
        """Give the place up; of no effect on what is answered."""
        if not self.ended:
            self.leave(self)


class Engine:
    """A process that loads, draws, dies and is started again, and the queue before it.

    All of it, but what is said to be a thread's, belongs to the event loop.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        on_failure: Callable[[str], None],
        *,
        queue: int,
        batch: int,
        metrics: Metrics,
    ) -> None:
        """`queue`: how many requests may wait while others are drawn. `batch`: how many images are
        drawn at once, at most. `on_failure` is called with the reason if nothing can be loaded."""
        self.state: State = "loading"
        self.name = ""
        self.failure = ("", "")  # kind and words
        self.capacity = queue
        self._folders, self._batch, self._on_failure = folders, batch, on_failure
        self._metrics = metrics
        self._numbers = itertools.count(1)
        self._open: dict[int, Ticket] = {}
        self._to_send: Outgoing = SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._failed_starts = 0
        self._closing = False
        self._pace = 1.0  # seconds of a batch, lately
        self._started = 0.0
        self._load_seconds: float | None = None  # of the last time that it became ready
        self._reason = ""  # why it did not, if it said so

    def start(self) -> None:
        """Start the process that draws. It tells when it is ready."""
        self.state, self._started = "loading", time.monotonic()
        ours, theirs = pair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "inference_entrypoint.drawer"),
                    *("--channel", str(theirs.fileno()), "--batch", str(self._batch)),
                    *map(str, self._folders),
                ],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                pass_fds=[theirs.fileno()],
            )
        loop, process = asyncio.get_running_loop(), self._process
        outgoing: Outgoing = SimpleQueue()
        self._to_send = outgoing

        def listen() -> None:
            try:
                while True:
                    loop.call_soon_threadsafe(self._hear, ours.recv())
            except (EOFError, OSError, RuntimeError):  # RuntimeError: the loop is closed
                code = process.wait()
                outgoing.put(None)
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._died, code)

        def speak() -> None:
            try:
                while (message := outgoing.get()) is not None:
                    ours.send(message)
            except OSError:
                pass  # the one who listens hears of it, too

        for work in (listen, speak):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def submit(
        self,
        identity: str,
        request: str,
        accept: str,
        *,
        seconds: float | None = None,
        events: bool = False,
    ) -> Ticket:
        """Queue a request that is to be answered within some seconds. Raises Busy."""
        if self._closing:
            raise Busy(GOING, retry_after=5)
        waiting = sum(not ticket.begun for ticket in self._open.values())
        idle = waiting == len(self._open)  # then the first of them is about to begin
        if waiting >= self.capacity + idle:
            retry_after = max(1, round(self._pace * waiting / self._batch))
            raise QueueFull(self.capacity, retry_after)
        deadline = None if seconds is None else time.monotonic() + seconds
        ask = Ask(next(self._numbers), identity, request, accept, deadline, seconds, events)
        ticket = Ticket(ask, self._leave)
        self._open[ask.number] = ticket
        self._to_send.put(ask)
        self._count()
        return ticket

    def close(self) -> None:
        """Take no more in, refuse what has not begun, and start no process again."""
        self._closing = True
        self._refuse_all([ticket for ticket in self._open.values() if not ticket.begun])

    def hurry(self) -> None:
        """Let what is being drawn be answered with what is there."""
        self._to_send.put(Hurry())

    def end(self) -> None:
        """Refuse whatever is left."""
        self._refuse_all(list(self._open.values()))

    @property
    def loading_for(self) -> int:
        """The seconds until it is ready, as far as can be known, and at least one."""
        if self._load_seconds is None:
            return 1
        return max(1, math.ceil(self._load_seconds + self._started - time.monotonic()))

    def _refuse_all(self, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            ticket.hear(Refused(ticket.ask.number, 503, "Busy", GOING))
            ticket.abandon()

    def _leave(self, ticket: Ticket) -> None:
        self._close(ticket)
        self._to_send.put(Leave(ticket.ask.number))

    def _close(self, ticket: Ticket) -> None:
        ticket.ended = True
        self._open.pop(ticket.ask.number, None)
        self._count()

    def _count(self) -> None:
        self._metrics.waiting.set(sum(not ticket.begun for ticket in self._open.values()))

    def _hear(self, message: FromDrawer) -> None:
        match message:
            case Ready():
                self.state, self.name, self._failed_starts = "ready", message.name, 0
                self._load_seconds = time.monotonic() - self._started
                log.info("ready", extra={"avatar": message.name, "seconds": message.seconds})
                self._metrics.ready.set(1)
            case Failed() if self._load_seconds is None:
                self._give_up(message.kind, message.message)
            case Failed():  # it was ready once: what is in the way may pass
                log.error("loading failed", extra={"reason": message.message})
                self._reason = f" {message.message}"
            case Batch():
                self._pace = message.seconds
                self._metrics.batch_images.observe(message.images)
                self._metrics.batch_seconds.observe(message.seconds)
            case _:
                self._tell(message)

    def _tell(self, message: Event) -> None:
        ticket = self._open.get(message.number)
        if ticket is None:
            return  # it left
        if isinstance(message, Begun):
            ticket.begun = True
            self._count()
        if isinstance(message, Answered):
            self._metrics.images.inc(message.images)
        if isinstance(message, Answered | Refused):
            self._close(ticket)
        ticket.hear(message)

    def _died(self, code: int) -> None:
        self._metrics.ready.set(0)
        if self._closing or self.state == "failed":
            return
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        log.error("the process that draws ended", extra={"how": how})
        self._failed_starts += self.state == "loading"
        for ticket in list(self._open.values()):
            if ticket.begun or ticket.tries > _TRIES:
                self._close(ticket)
                ticket.hear(Refused(ticket.ask.number, 500, "DrawerDied", _DIED))
        if self._failed_starts >= _STARTS:
            words = f"the process that draws ended {how} while it loaded, {_STARTS} times."
            self._give_up("EndpointError", words + self._reason)
            return
        self._metrics.restarts.inc()
        self.start()
        for ticket in self._open.values():  # in the order in which they came
            ticket.tries += 1
            self._to_send.put(ticket.ask)

    def _give_up(self, kind: str, message: str) -> None:
        self.state, self.failure = "failed", (kind, message)
        for ticket in list(self._open.values()):
            self._close(ticket)
            ticket.hear(Refused(ticket.ask.number, 500, kind, message))
        threading.Thread(target=self._on_failure, args=(message,), daemon=True).start()
