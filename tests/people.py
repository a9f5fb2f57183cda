"""A list of people as a batch reads it, with photos beside it, for the smallest training."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from conftest import write_photos

# Of a row that says nothing of them.
LEAST: dict[str, Any] = {
    "base": "micro",
    "steps": 2,
    "prior_preservation": False,
    "validation_prompts": [],
    "validation_every": 0,
    "tracker": "none",
    "precision": "fp32",
}


def write_people(folder: Path, *rows: dict[str, Any]) -> Path:
    """Write people.csv, and for each row photos/SUBJECT, which differ."""
    path = folder / "people.csv"
    rows = tuple({"photos": f"photos/{row['subject']}", **row} for row in rows)
    for seed, row in enumerate(rows):
        write_photos(folder / "photos" / row["subject"], seed=seed)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path
