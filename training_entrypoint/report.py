"""What the job says while it runs: one JSON event a line on stdout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lensa.contract import Measurement
from lensa.contract.events import (
    CheckpointEvent,
    EndEvent,
    Event,
    NoticeEvent,
    ProgressEvent,
    Stage,
    StageEvent,
    ValidationEvent,
)


class Report:
    """Prints events; `sink` takes each line."""

    def __init__(self, sink: Callable[[str], None] | None = None) -> None:
        self._sink = sink or (lambda line: print(line, flush=True))
        self._started = time.monotonic()
        self._first_step = 0
        self.notices: list[str] = []  # so far, for the training's report

    def _say(self, event: Event) -> None:
        self._sink(event.line())

    def stage(self, stage: Stage, message: str = "") -> None:
        self._say(StageEvent(stage=stage, message=message))

    def start_counting(self, step: int) -> None:
        """From here the rate and the remaining time are measured."""
        self._started, self._first_step = time.monotonic(), step

    @contextmanager
    def not_counting(self) -> Iterator[None]:
        """What is done within does not count into the rate."""
        paused = time.monotonic()
        yield
        self._started += time.monotonic() - paused

    def progress(
        self,
        step: int,
        of: int,
        *,
        stage: Stage = "training",
        loss: float | None = None,
        learning_rate: float | None = None,
        images_per_step: int = 1,
    ) -> float:
        """Say how far it is, and return the images per second."""
        elapsed = max(time.monotonic() - self._started, 1e-9)
        rate = (step - self._first_step) / elapsed
        self._say(
            ProgressEvent(
                stage=stage,
                step=step,
                of=of,
                loss=None if loss is None else round(loss, 6),
                learning_rate=learning_rate,
                images_per_second=round(rate * images_per_step, 3),
                eta_seconds=round((of - step) / rate, 1) if rate > 0 else None,
            )
        )
        return rate * images_per_step

    def checkpoint(self, step: int) -> None:
        self._say(CheckpointEvent(step=step))

    def validation(self, step: int, images: list[str], measured: Measurement | None = None) -> None:
        found: dict[str, float | None] = {}
        if measured is not None:
            plain = ValidationEvent.model_fields.keys() & Measurement.model_fields.keys()
            found = {name: getattr(measured, name) for name in plain - {"step", "images"}}
            found |= {
                name: interval.value
                for name in ("fid", "kid")
                if (interval := getattr(measured, name)) is not None
            }
        self._say(ValidationEvent.model_validate({"step": step, "images": images, **found}))

    def notice(self, message: str) -> None:
        self.notices.append(message)
        self._say(NoticeEvent(message=message))

    def completed(self, step: int) -> None:
        self._say(EndEvent(status="completed", step=step))

    def stopped(self, step: int, message: str) -> None:
        self._say(EndEvent(status="stopped", step=step, message=message))

    def failed(self, message: str, error: str = "") -> None:
        self._say(EndEvent(status="failed", message=message, error=error))
