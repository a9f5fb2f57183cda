"""Copies of a picture on a sheet of paper, with marks to cut along."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from lensa.errors import ConfigError, suggest
from lensa.id_photo.files import write_picture

PAPERS: dict[str, tuple[float, float]] = {  # mm
    "10x15": (100, 150),
    "4x6": (101.6, 152.4),  # inches
    "a4": (210, 297),
}
_MARGIN, _GAP = 3.0, 1.0  # mm: what printers leave white and marks need; between two copies
_MARK = "#808080"


@dataclass(frozen=True)
class Sheet:
    """A sheet to print at its full size ("actual size" or 100 %, not "fit to page")."""

    image: Image.Image
    copies: int
    paper: str
    dpi: int

    def save(self, file: str | Path) -> Path:
        """Write it as PNG, JPEG or TIFF, its dpi inside. Raises ConfigError, StorageError."""
        return write_picture(self.image, Path(file), self.dpi)


def print_sheet(
    picture: Image.Image, width: float, height: float, paper: str, *, dpi: int
) -> Sheet:
    """Lay out as many copies as fit, on upright or turned paper; `width` and `height` are the
    picture's in mm. Raises ConfigError for an unknown paper, or one that is too small."""
    key = paper.strip().lower()
    if key not in PAPERS:
        raise ConfigError(f"paper: {paper[:40]!r} is unknown.{suggest(key, PAPERS)}")
    upright = PAPERS[key]
    # As many as fit; where both ways hold as many, upright.
    sides = max((upright, upright[::-1]), key=lambda way: _fit(way, width, height))
    columns, rows = _across(sides[0], width), _across(sides[1], height)
    if not columns * rows:
        raise ConfigError(
            f"paper: {key} is too small for a picture of {width:g} x {height:g} mm: take a4."
        )

    def px(mm: float) -> int:
        return round(mm / 25.4 * dpi)

    sheet = Image.new("RGB", (px(sides[0]), px(sides[1])), "white")
    lefts = _places(sheet.width, picture.width, px(_GAP), columns)
    tops = _places(sheet.height, picture.height, px(_GAP), rows)
    for left in lefts:
        for top in tops:
            sheet.paste(picture, (left, top))
    _mark(sheet, _edges(lefts, picture.width), _edges(tops, picture.height), px(0.5))
    return Sheet(sheet, columns * rows, key, dpi)


def _fit(sides: tuple[float, float], width: float, height: float) -> int:
    return _across(sides[0], width) * _across(sides[1], height)


def _across(room: float, length: float) -> int:
    return max(0, int((room - 2 * _MARGIN + _GAP) / (length + _GAP)))


def _places(room: int, length: int, gap: int, count: int) -> list[int]:
    """Where each copy begins, all of them in the middle of the paper, pixels."""
    first = (room - count * length - (count - 1) * gap) // 2
    return [first + number * (length + gap) for number in range(count)]


def _edges(starts: list[int], length: int) -> list[int]:
    return [edge for start in starts for edge in (start - 1, start + length)]


def _mark(sheet: Image.Image, xs: list[int], ys: list[int], away: int) -> None:
    """Draw lines in the margins, `away` from the pictures: a ruler laid along two of them cuts."""
    draw = ImageDraw.Draw(sheet)
    for x in xs:
        draw.line((x, 0, x, ys[0] - away), _MARK)
        draw.line((x, ys[-1] + away, x, sheet.height), _MARK)
    for y in ys:
        draw.line((0, y, xs[0] - away, y), _MARK)
        draw.line((xs[-1] + away, y, sheet.width, y), _MARK)
