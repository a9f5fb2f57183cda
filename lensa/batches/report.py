"""What came of a batch: for a program, for a spreadsheet, and to look at."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensa.backends.disk import make_folder, write_whole
from lensa.batches.contact_sheet import contact_sheet, sections
from lensa.batches.outcome import ENDED, Outcome

_TEXTS = ("missing", "notes", "error")
_COLUMNS = ("line", "subject", "status", "avatar", "job", "seconds", "dollars", "images", *_TEXTS)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


@dataclass(frozen=True)
class BatchReport:
    """What has become of each row, in the order of the file."""

    rows: tuple[Outcome, ...]
    out: Path

    @property
    def ok(self) -> bool:
        """Whether every row came to an avatar."""
        return all(row.status == "done" for row in self.rows)

    @property
    def failed(self) -> list[Outcome]:
        return [row for row in self.rows if row.status == "failed"]

    @property
    def dollars(self) -> float | None:
        """What the jobs cost together as far as it is known; None if of none it is."""
        known = [row.dollars for row in self.rows if row.dollars is not None]
        return round(sum(known), 4) if known else None

    def summary(self) -> str:
        """One sentence."""
        done = sum(row.status == "done" for row in self.rows)
        images = sum(len(row.images) for row in self.rows)
        left = sum(row.status not in ENDED for row in self.rows)
        parts = [f"{done} of {len(self.rows)} avatars are done, with {images} images"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        if left:
            parts.append(f"{left} have not ended")
        return ", ".join(parts) + f": {self.out / 'report.html'}"

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "dollars": self.dollars,
            "rows": [row.to_json() for row in self.rows],
        }

    def save(self) -> None:
        """Write report.json, report.csv and report.html. Raises StorageError."""
        make_folder(self.out)
        write_whole(self.out / "report.json", json.dumps(self.to_json(), indent=2).encode())
        write_whole(self.out / "report.csv", self._csv().encode("utf-8-sig"))
        write_whole(self.out / "report.html", contact_sheet(self.rows, self.out).encode())

    def _csv(self) -> str:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        for row in self.rows:
            told = row.to_json() | {"images": len(row.images), "notes": "\n".join(row.notes)}
            writer.writerow([_harmless(told[column]) for column in _COLUMNS])
        return text.getvalue()

    def _repr_html_(self) -> str:
        return sections(self.rows, self.out)

    def __repr__(self) -> str:
        return f"<BatchReport: {self.summary()}>"


def _harmless(value: Any) -> Any:
    """Return a cell that a spreadsheet shows, and does not compute."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
