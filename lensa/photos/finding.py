"""One thing that the coach has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["stop", "advise"]


@dataclass(frozen=True)
class Finding:
    """`stop`: do not train with it as it is. `advise`: it will work, and better without it."""

    code: str  # of the table in docs/photos.md
    severity: Severity
    photos: tuple[str, ...]  # empty: the set as a whole
    what: str
    why: str
    do: str
