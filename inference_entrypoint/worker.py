"""One model, one thread, one request at a time, and a short queue before it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[], None]  # called now and then by a running job; raises Abandoned to end it
Job = Callable[[Check], Any]


class QueueFull(Exception):
    """`retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full, come back in {retry_after} s")
        self.retry_after = retry_after


class Abandoned(Exception):
    """Nobody waits for this job any more."""


@dataclass
class Ticket:
    """A place in the queue."""

    job: Job
    future: Future[Any] = field(default_factory=Future)
    abandoned: threading.Event = field(default_factory=threading.Event)

    def abandon(self) -> None:
        """Leave the queue; a job that runs ends at its next check."""
        self.abandoned.set()
        self.future.cancel()

    def check(self) -> None:
        if self.abandoned.is_set():
            raise Abandoned


class Worker:
    """Runs jobs in order, in a thread of its own."""

    def __init__(self, capacity: int) -> None:
        """`capacity`: how many jobs may wait while another runs."""
        self._queue: queue.Queue[Ticket] = queue.Queue()
        self.capacity = capacity
        self._lock = threading.Lock()
        self._open: list[Ticket] = []  # running and waiting
        self._last_seconds = 1.0
        # A daemon: when the process has to go, it does not wait for an image.
        threading.Thread(target=self._run, name="worker", daemon=True).start()

    def submit(self, job: Job) -> Ticket:
        """Queue a job. Raises QueueFull."""
        ticket = Ticket(job)
        with self._lock:
            self._open = [other for other in self._open if not other.future.done()]
            if len(self._open) > self.capacity:
                raise QueueFull(max(1, round(self._last_seconds)))
            self._open.append(ticket)
        self._queue.put(ticket)
        return ticket

    def abandon_all(self) -> None:
        with self._lock:
            for ticket in self._open:
                ticket.abandon()

    def _run(self) -> None:
        while True:
            ticket = self._queue.get()
            if not ticket.future.set_running_or_notify_cancel():
                continue
            start = time.monotonic()
            try:
                ticket.future.set_result(ticket.job(ticket.check))
            except BaseException as error:
                ticket.future.set_exception(error)
            self._last_seconds = time.monotonic() - start
