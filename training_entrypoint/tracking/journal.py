"""What a training said of itself, by step: one JSON object a line, beside its checkpoints.

A tracker that begins anew, in another container, hears it from here; the report draws it.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

JOURNAL = "training.jsonl"


@dataclass(frozen=True)
class Line:
    """Figures of a step, told when the training had taken so many seconds."""

    step: int
    seconds: float
    values: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        return json.dumps({"step": self.step, "seconds": self.seconds, **self.values}) + "\n"


class Journal:
    """Adds lines as they come. What cannot be written is kept in memory all the same."""

    def __init__(self, file: Path, resumed: int | None = None) -> None:
        """`resumed`: the step that a training goes on from; None: it begins anew."""
        self._file = file
        self.lines: list[Line] = [] if resumed is None else _read(file)
        self.back_to(resumed)
        self._before = max((line.seconds for line in self.lines), default=0.0)
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the training has taken, without what an interruption took from it."""
        return self._before + time.monotonic() - self._begun

    def add(self, step: int, values: dict[str, float]) -> None:
        """Take in figures. One that is no number is left out: JSON has no word for it."""
        finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
        line = Line(step, round(self.seconds, 3), finite)
        self.lines.append(line)
        self._write(line.text(), "a")

    def back_to(self, step: int | None) -> None:
        """Forget what lies behind a step that the training goes on from; None: all of it."""
        self.lines = [line for line in self.lines if step is not None and line.step <= step]
        self._write("".join(line.text() for line in self.lines), "w")

    def curve(self, key: str) -> list[tuple[int, float]]:
        """Return (step, value) in the steps' order."""
        found = {line.step: line.values[key] for line in self.lines if key in line.values}
        return sorted(found.items())

    def _write(self, text: str, mode: str) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open(mode) as file:
                file.write(text)
        except OSError:  # a full disk ends the training where it matters: at a checkpoint
            return


def _read(file: Path) -> list[Line]:
    """Return the lines of a file; one that was cut off is none."""
    try:
        entries = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for entry in entries:
        try:
            values = json.loads(entry)
            step, seconds = int(values.pop("step")), float(values.pop("seconds"))
            figures = {str(key): float(value) for key, value in values.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found.append(Line(step, seconds, figures))
    return found
