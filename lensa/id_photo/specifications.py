"""What a country asks of an ID photo, read from specifications.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from lensa.contract._model import Contract
from lensa.errors import NotFoundError, suggest

_FILE = Path(__file__).with_name("specifications.toml")

Millimetres = Annotated[float, Field(gt=0, le=300)]
Range = tuple[Millimetres, Millimetres]


class Specification(Contract):
    """Lengths in mm on the printed picture; ranges are (least, most)."""

    title: ClassVar[str] = "ID photo specification"

    country: str
    label: str
    rule: str  # the authority and its published rule
    width: Millimetres
    height: Millimetres
    head: Range  # chin to crown
    top: Range | None = None  # crown to the upper edge
    eyes: Range | None = None  # lower edge to the eyes
    background: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
    also: tuple[str, ...] = ()  # other words for the country

    def check(self) -> None:
        for name in ("head", "top", "eyes"):
            span = getattr(self, name)
            if span is not None and span[0] > span[1]:
                raise ValueError(f"{name} is (least, most), not {span}.")
        if self.head[1] >= self.height:
            raise ValueError("head is higher than the picture.")

    def pixels(self, dpi: int) -> tuple[int, int]:
        """Width and height at so many dots per inch."""
        return round(self.width / 25.4 * dpi), round(self.height / 25.4 * dpi)


def specification(country: str) -> Specification:
    """Return what a country asks for: "de", "Germany" and "uk" will do. Raises NotFoundError."""
    wanted = country.strip().lower()
    for one in specifications().values():
        if wanted in (one.country, one.label.lower(), *one.also):
            return one
    known = specifications()
    raise NotFoundError(
        f"There is no ID photo specification for {country[:40]!r}.{suggest(wanted, known)}"
    )


@cache
def specifications() -> dict[str, Specification]:
    """Return all specifications by country code."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {
        country: Specification.model_validate({"country": country, **table})
        for country, table in tables.items()
    }
