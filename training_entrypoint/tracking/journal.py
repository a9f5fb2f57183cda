"""What a training said of itself, by step: one JSON object a line, beside its checkpoints.

A tracker that begins anew, in another container, hears it from here; the report draws it.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

Line = tuple[int, dict[str, float]]  # the step, and the figures told at it

JOURNAL = "training.jsonl"


class Journal:
    """Adds lines as they come. It keeps those up to the step that a training goes on from."""

    def __init__(self, file: Path, resumed: int | None = None) -> None:
        """`resumed`: the step of the checkpoint; None: it begins anew. What cannot be written is
        kept in memory."""
        self._file = file
        self.lines: list[Line] = []
        self._before, self._begun = 0.0, time.monotonic()
        if resumed is not None:
            self._read(resumed)
        self._write("".join(map(_text, self.lines)), "w")

    @property
    def seconds(self) -> float:
        """How long the training has taken, without what an interruption took from it."""
        return self._before + time.monotonic() - self._begun

    def add(self, step: int, values: dict[str, float]) -> None:
        """Take in figures. One that is no number is left out: JSON has no word for it."""
        finite = {key: float(value) for key, value in values.items() if math.isfinite(value)}
        line = (step, {**finite, "seconds": round(self.seconds, 3)})
        self.lines.append(line)
        self._write(_text(line), "a")

    def curve(self, key: str) -> list[tuple[int, float]]:
        """Return (step, value) in the steps' order; of a step that was tried twice the last."""
        found = {step: values[key] for step, values in self.lines if key in values}
        return sorted(found.items())

    def _read(self, resumed: int) -> None:
        try:
            text = self._file.read_text()
        except (OSError, UnicodeDecodeError):
            return
        for entry in text.splitlines():
            try:
                content = json.loads(entry)
                step, values = int(content.pop("step")), content
                kept = {str(key): float(value) for key, value in values.items()}
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # cut off by what ended the training
            if step <= resumed:
                self.lines.append((step, kept))
                self._before = max(self._before, kept.get("seconds", 0.0))

    def _write(self, text: str, mode: str) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open(mode) as file:
                file.write(text)
        except OSError:  # a full disk ends the training where it matters: at a checkpoint
            return


def _text(line: Line) -> str:
    return json.dumps({"step": line[0], **line[1]}) + "\n"
