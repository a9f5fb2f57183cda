"""A contact sheet: labelled rows of pictures on one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

_MARGIN, _GAP, _TITLE, _LABEL, _LINES = 24, 8, 34, 46, 3
_INK, _FAINT, _PAPER = "#1c1c1c", "#6b6b6b", "#fbfaf7"


@dataclass(frozen=True)
class Row:
    """A titled row of pictures, each with an optional label below it."""

    title: str
    pictures: Sequence[Image.Image]
    labels: Sequence[str] = field(default=())


def contact_sheet(title: str, rows: Sequence[Row], *, cell: int = 128) -> Image.Image:
    """Draw the rows one below the other, every picture `cell` pixels a side."""
    columns = max(len(row.pictures) for row in rows)
    width = 2 * _MARGIN + columns * cell + (columns - 1) * _GAP
    height = 2 * _MARGIN + _TITLE + sum(_height(row, cell) for row in rows)
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, _INK, font=ImageFont.load_default(22))
    top = _MARGIN + _TITLE
    for row in rows:
        draw.text((_MARGIN, top + 8), row.title, _INK, font=ImageFont.load_default(15))
        for place, picture in enumerate(row.pictures):
            left = _MARGIN + place * (cell + _GAP)
            sheet.paste(_fitted(picture, cell), (left, top + _TITLE))
            if place < len(row.labels):
                label = "\n".join(wrap(row.labels[place], cell // 6)[:_LINES])
                font = ImageFont.load_default(11)
                draw.text((left, top + _TITLE + cell + 3), label, _FAINT, font=font)
        top += _height(row, cell)
    return sheet


def _height(row: Row, cell: int) -> int:
    return _TITLE + cell + (_LABEL if row.labels else 0) + _GAP


def _fitted(picture: Image.Image, cell: int) -> Image.Image:
    picture = picture.convert("RGB")
    # Small pictures are enlarged smoothly: a 64-pixel avatar is to be seen, not counted.
    return picture.resize((cell, cell), Image.Resampling.BICUBIC)
