"""A row as it was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawRow:
    """The cells that are not empty, by the names of their columns."""

    line: int  # of the file, from 1
    cells: dict[str, Any]
