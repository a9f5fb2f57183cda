"""A training as it goes: bars on a terminal, an HTML cell in a notebook.

Both are context managers that are called with each event and leave what they drew standing.
"""

from __future__ import annotations

import html
import sys
from base64 import b64encode
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lensa.contract.events import (
    Event,
    NoticeEvent,
    PhaseEvent,
    ProgressEvent,
    StageEvent,
    ValidationEvent,
)

_STAGES = {
    "uploading": "uploading",
    "submitting": "asking AWS for",
    "installing": "installing requirements",
    "loading": "loading the base model",
    "class_images": "drawing class images",
    "training": "training",
    "validating": "drawing validation images",
    "exporting": "exporting and checking",
    "gallery": "drawing the gallery",
}


class TrainingDisplay(AbstractContextManager["TrainingDisplay"], Protocol):
    """Shows a training."""

    def __call__(self, event: Event) -> None: ...


def training_display(lines: list[str]) -> TrainingDisplay:
    """Return the display for where we are. `lines` are said first."""
    return NotebookDisplay(lines) if _in_a_notebook() else TerminalDisplay(lines)


def _in_a_notebook() -> bool:
    if "ipykernel" not in sys.modules:  # rich's own notebook bars need ipywidgets
        return False
    from IPython import get_ipython

    return get_ipython() is not None


def figures(event: ProgressEvent) -> str:
    """The numbers behind a bar."""
    if event.stage == "uploading":
        return "MB"
    loss = f"loss {event.loss:.3f}  " if event.loss is not None else ""
    return loss + (f"{event.images_per_second:.1f} images/s" if event.images_per_second else "")


def extent(event: ProgressEvent) -> str:
    """How far a bar is and how long: an upload counts bytes, and is shown in MB."""
    if event.stage == "uploading":
        return f"{event.step / 1e6:.1f}/{event.of / 1e6:.1f}"
    return f"{event.step}/{event.of}"


def measured(event: ValidationEvent) -> str:
    """What a validation's images are worth, in a line; empty if nothing was measured."""
    parts = []
    if event.likeness is not None:
        marks = {"floor": event.likeness_floor, "ceiling": event.likeness_ceiling}
        between = ", ".join(f"{name} {value:.2f}" for name, value in marks.items() if value)
        parts.append(f"likeness {event.likeness:.2f}" + (f" ({between})" if between else ""))
    if event.retention is not None:
        parts.append(f"prompt retention {event.retention:.2f}")
    if event.class_drift is not None:
        parts.append(f"class drift {event.class_drift:.2f}")
    return f"step {event.step}: {', '.join(parts)}" if parts else ""


def phase_line(event: PhaseEvent) -> str:
    """A job's phase on AWS, with its age and its price so far."""
    minutes, seconds = divmod(round(event.seconds), 60)
    return ", ".join(
        filter(None, [f"{event.phase} ({minutes}:{seconds:02d})", price_so_far(event)])
    )


def price_so_far(event: PhaseEvent) -> str:
    return "" if event.dollars is None else f"${event.dollars:.2f} so far"


class TerminalDisplay:
    """One bar a stage on stderr, the notices above."""

    def __init__(self, lines: list[str]) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._opening = lines
        self._bars: dict[str, TaskID] = {}
        self._phase = self._price = ""
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]:>9}"),
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
        elif isinstance(event, PhaseEvent):
            if event.phase != self._phase:
                self._console.print(phase_line(event), style="dim", markup=False)
            self._phase, self._price = event.phase, price_so_far(event)
        elif isinstance(event, ValidationEvent):
            if line := measured(event):
                self._console.print(line, markup=False)
            for path in event.images:
                self._console.print(f"step {event.step}: {path}", markup=False)
        elif isinstance(event, ProgressEvent):
            if event.stage not in self._bars:
                self._bars[event.stage] = self._progress.add_task(
                    _STAGES[event.stage], count="", note=""
                )
            self._progress.update(
                self._bars[event.stage],
                completed=event.step,
                total=event.of,
                count=extent(event),
                note="  ".join(filter(None, [figures(event), self._price])),
            )


class NotebookDisplay:
    """One HTML output that is rewritten with every event."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = list(lines)
        self._bars: dict[str, ProgressEvent] = {}
        self._stage = self._phase = ""
        self._images: tuple[int, list[str]] = (0, [])
        self._measured = ""
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
        elif isinstance(event, PhaseEvent):
            self._phase = phase_line(event)
        elif isinstance(event, ValidationEvent):
            self._images = (event.step, event.images)
            self._measured = measured(event)
        elif isinstance(event, ProgressEvent):
            self._bars[event.stage] = event
        self._handle.update(self)

    def _repr_html_(self) -> str:
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in self._lines)
        bars = "".join(_html_bar(stage, bar) for stage, bar in self._bars.items())
        state = html.escape("  ".join(filter(None, [self._stage, self._phase])))
        return (
            f'<div style="font-family:monospace">{lines}{bars}{_html_images(*self._images)}'
            f"<div>{html.escape(self._measured)}</div>{state}</div>"
        )


def _html_bar(stage: str, bar: ProgressEvent) -> str:
    left = f" {bar.eta_seconds:.0f} s left" if bar.eta_seconds else ""
    return (
        f'<div><progress value="{bar.step}" max="{bar.of}"></progress> '
        f"{html.escape(_STAGES[stage])} {extent(bar)} {html.escape(figures(bar))}{left}"
        "</div>"
    )


def _html_images(step: int, paths: list[str]) -> str:
    """The latest validation images, inside the page: a notebook may be read elsewhere."""
    found = [Path(path) for path in paths if Path(path).is_file()]
    if not found:
        return ""
    images = "".join(
        f'<img height="128" src="data:image/png;base64,{b64encode(path.read_bytes()).decode()}">'
        for path in found
    )
    return f"<div>step {step}: {images}</div>"
