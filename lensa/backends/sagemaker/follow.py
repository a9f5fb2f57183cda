"""Following a job: its state by polling, its events out of its log, its validation images.

Nothing is kept that AWS does not hold: whoever follows can die, and another can go on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lensa.backends.sagemaker.state import JobState
from lensa.contract.events import EndEvent, Event, PhaseEvent, ValidationEvent, parse_event
from lensa.costs import price
from lensa.errors import ServiceError

_SLOWEST_SECONDS = 60.0
_PATIENCE_SECONDS = 1800.0  # with an AWS that does not answer, while the job runs on
_PRICE_EVERY_SECONDS = 30.0
_LAST_POLLS = 6  # after the end: the log arrives a little later than the state


class Pause:
    """The wait between two polls: never quite the same, and longer while AWS is in trouble."""

    def __init__(self, seconds: float) -> None:
        self._seconds = self._now = seconds
        self._trouble_since: float | None = None

    def wait(self) -> None:
        time.sleep(self._now * random.uniform(0.75, 1.25))

    def fine(self) -> None:
        self._now, self._trouble_since = self._seconds, None

    def trouble(self, error: ServiceError) -> None:
        """Wait longer from now on. Raises the error if it has lasted for half an hour."""
        self._trouble_since = self._trouble_since or time.monotonic()
        if time.monotonic() - self._trouble_since > _PATIENCE_SECONDS:
            raise error
        self._now = min(self._now * 2, max(_SLOWEST_SECONDS, self._seconds))


@dataclass
class Follower:
    """Follows one job. `state` and `read` ask AWS; a ServiceError of theirs is waited out."""

    state: Callable[[], JobState]
    read: Callable[[], list[str]]  # the log lines since the last call
    pause: Pause

    def polls(self) -> Iterator[tuple[JobState, list[str]]]:
        """Yield the state and the new lines, until the job has ended and said its last."""
        silent, said_end = 0, False
        while True:
            try:
                state = self.state()
                lines = self.read()
            except ServiceError as error:
                self.pause.trouble(error)
                self.pause.wait()
                continue
            self.pause.fine()
            yield state, lines
            for line in lines:
                if (event := parse_event(line)) is not None:
                    # A spot container that was interrupted says its end, and another goes on.
                    said_end = isinstance(event, EndEvent)
            if state.ended:
                silent = 0 if lines else silent + 1
                never_ran = state.billable_seconds == 0
                if said_end or never_ran or silent >= _LAST_POLLS:
                    return
            self.pause.wait()

    def lines(self) -> Iterator[str]:
        for _, lines in self.polls():
            yield from lines

    def events(
        self,
        *,
        hourly: Callable[[str], float | None],
        fetch: Callable[[list[str]], list[Path] | None],
    ) -> Iterator[Event]:
        """Yield what the job says, its phases and its price so far.

        `hourly` gives the price of an instance type. `fetch` brings validation images to this
        machine and returns their paths, or None while the bucket does not have them yet.
        """
        phases = _Phases(hourly)
        awaited: list[ValidationEvent] = []
        for state, lines in self.polls():
            yield from phases.of(state)
            for line in lines:
                event = parse_event(line)
                if isinstance(event, ValidationEvent):
                    awaited.append(event)
                elif event is not None:
                    yield event
            for event in list(awaited):
                try:
                    paths = fetch(event.images)
                except ServiceError:
                    break  # the next poll tries again
                if paths is not None:
                    awaited.remove(event)
                    yield event.model_copy(update={"images": [str(path) for path in paths]})


class _Phases:
    """A phase is told when it begins, and again from time to time for the price; the end is told
    once, with what AWS bills."""

    def __init__(self, hourly: Callable[[str], float | None]) -> None:
        self._hourly = hourly
        self._last = ""
        self._told = 0.0

    def of(self, state: JobState) -> list[Event]:
        phase = state.status if state.ended else state.phase
        recent = state.ended or time.monotonic() - self._told < _PRICE_EVERY_SECONDS
        if phase == self._last and recent:
            return []
        self._last, self._told = phase, time.monotonic()
        dollars = price(state.billable_seconds, self._hourly(state.instance_type))
        return [PhaseEvent(phase=phase, seconds=state.elapsed_seconds, dollars=dollars)]
