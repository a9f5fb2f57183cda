"""`metrics.jsonl` in the checkpoint folder: a Measurement a line, in the steps' order."""

from __future__ import annotations

from pathlib import Path

from lensa.contract import METRICS_FILE, Measurement
from lensa.errors import ConfigError


def read(folder: Path) -> list[Measurement]:
    """Return what was measured so far. A line that is cut off, or from elsewhere, is left out."""
    try:
        lines = (folder / METRICS_FILE).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        try:
            found.append(Measurement.model_validate_json(line))
        except ConfigError:
            continue
    return found


def keep(folder: Path, step: int) -> list[Measurement]:
    """Drop what lies behind a step that a training goes on from, and return the rest."""
    before = read(folder)
    kept = [measured for measured in before if measured.step <= step]
    if len(kept) < len(before):
        _write(folder, kept)
    return kept


def add(folder: Path, measured: Measurement) -> None:
    """Put a measurement behind those of earlier steps; those of later ones are of another try."""
    _write(folder, [*(m for m in read(folder) if m.step < measured.step), measured])


def _write(folder: Path, measurements: list[Measurement]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{METRICS_FILE}.partial"
    partial.write_text("".join(f"{m.model_dump_json()}\n" for m in measurements))
    partial.replace(folder / METRICS_FILE)  # it may be on its way to S3 at once
