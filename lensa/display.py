"""A training as it goes: bars on a terminal, an HTML cell in a notebook.

Both are context managers that are called with each event and leave what they drew standing.
"""

from __future__ import annotations

import html
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lensa.backends.base import TrainingPlan
from lensa.contract.events import Event, NoticeEvent, ProgressEvent, StageEvent

_STAGES = {
    "loading": "loading the base model",
    "class_images": "drawing class images",
    "training": "training",
    "validating": "drawing validation images",
    "exporting": "exporting and checking",
}


class TrainingDisplay(AbstractContextManager["TrainingDisplay"], Protocol):
    """Shows a training."""

    def __call__(self, event: Event) -> None: ...


def training_display(plan: TrainingPlan, title: str) -> TrainingDisplay:
    """Return the display for where we are."""
    if "ipykernel" in sys.modules:  # rich's own notebook bars need ipywidgets
        return NotebookDisplay(plan, title)
    return TerminalDisplay(plan, title)


def opening(plan: TrainingPlan, title: str) -> list[str]:
    """What is said before the first event: the recipe, and what was done to the photos."""
    config = plan.config
    recipe = (
        f"{title}: {len(plan.photos.photos)} photos, {config.method} on {config.base.name}, "
        f"{config.steps} steps, learning rate {config.learning_rate:g}"
    )
    if config.prior_preservation:
        recipe += ", prior preservation"
    rejected = [f"left out: {name}: {reason}" for name, reason in plan.photos.rejected.items()]
    return [recipe, *rejected, *(f"note: {note}" for note in plan.photos.notes)]


def figures(event: ProgressEvent) -> str:
    """The numbers behind a bar."""
    loss = f"loss {event.loss:.3f}  " if event.loss is not None else ""
    return loss + (f"{event.images_per_second:.1f} images/s" if event.images_per_second else "")


class TerminalDisplay:
    """One bar a stage on stderr, the notices above."""

    def __init__(self, plan: TrainingPlan, title: str) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._opening = opening(plan, title)
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>4.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self._console,
        )

    def __enter__(self) -> Self:
        for line in self._opening:
            self._console.print(line, markup=False)
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, NoticeEvent):
            self._console.print(f"note: {event.message}", markup=False)
        elif isinstance(event, StageEvent) and event.stage in {"loading", "exporting"}:
            self._console.print(f"{_STAGES[event.stage]} {event.message}", style="dim")
        elif isinstance(event, ProgressEvent):
            if event.stage not in self._bars:
                self._bars[event.stage] = self._progress.add_task(
                    _STAGES[event.stage], total=event.of, note=""
                )
            self._progress.update(
                self._bars[event.stage], completed=event.step, note=figures(event)
            )


class NotebookDisplay:
    """One HTML output that is rewritten with every event."""

    def __init__(self, plan: TrainingPlan, title: str) -> None:
        self._lines = opening(plan, title)
        self._bars: dict[str, ProgressEvent] = {}
        self._stage = ""
        self._handle: Any = None

    def __enter__(self) -> Self:
        from IPython.display import display

        self._handle = display(self, display_id=True)  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stage = "done" if error is None else "ended"
        self._handle.update(self)

    def __call__(self, event: Event) -> None:
        if isinstance(event, NoticeEvent):
            self._lines.append(f"note: {event.message}")
        elif isinstance(event, StageEvent):
            self._stage = f"{_STAGES[event.stage]} {event.message}"
        elif isinstance(event, ProgressEvent):
            self._bars[event.stage] = event
        self._handle.update(self)

    def _repr_html_(self) -> str:
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in self._lines)
        bars = "".join(
            f'<div><progress value="{bar.step}" max="{bar.of}"></progress> '
            f"{html.escape(_STAGES[stage])} {bar.step}/{bar.of} {html.escape(figures(bar))}"
            + (f" {bar.eta_seconds:.0f} s left" if bar.eta_seconds else "")
            + "</div>"
            for stage, bar in self._bars.items()
        )
        return f'<div style="font-family:monospace">{lines}{bars}{html.escape(self._stage)}</div>'
