"""`lensa styles`."""

from __future__ import annotations

from contextlib import suppress
from math import ceil
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from lensa.cli.output import Json, emit, table, told
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from lensa.prompts.styles import Style
    from lensa.sheet import Row

_LEAST = 16  # characters of a look, however narrow the terminal; all of it is in --json
_COLUMNS = 10  # of the sheet, at most


@told
def styles(
    pack: Annotated[str | None, typer.Option(metavar="NAME", help="Of this pack alone.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a sheet of their pictures (PNG).")
    ] = None,
    json: Json = False,
) -> None:
    """List the styles that `generate --style` and `--styles` know.

    Packs of your own (TOML) belong into the folder styles of LENSA_HOME: see docs/styles.md. The
    pictures are drawn by the embedded base: they show colours and mood, no more.
    """
    from lensa.photos.showing.preview import write_sheet
    from lensa.prompts.choosing import choose_styles

    found = choose_styles("all" if pack is None else f"pack:{pack}").styles
    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise ConfigError(f"--sheet {sheet}: the sheet is a PNG; call it so.")
        from lensa.sheet import contact_sheet

        write_sheet(contact_sheet("lensa styles", _rows(found)), sheet)
    if json:
        listed = [style.model_dump(mode="json") for style in found]
        emit({"styles": listed} | ({} if sheet is None else {"sheet": str(sheet)}))
        return
    rows = [[style.name, style.label, style.pack] for style in found]
    taken = sum(max(len(row[column]) for row in rows) + 2 for column in range(3))
    room = max(_LEAST, get_terminal_size().columns - taken)
    lines = [[*row, _look(style, room)] for row, style in zip(rows, found, strict=True)]
    table(["style", "", "pack", "look"], lines)
    if sheet is not None:
        print(f"Sheet: {sheet}")


def _look(style: Style, room: int) -> str:
    """What the style says behind the user's words, as one line."""
    words = style.prompt.partition("{prompt}")[2].strip(" ,")
    return words if len(words) <= room else words[: room - 3].rstrip(" ,") + "..."


def _picture(style: Style) -> Image.Image:
    """The style's, or grey where there is none: in a pack of the user's, or a damaged one."""
    from PIL import Image

    if style.picture is not None:
        with suppress(OSError), Image.open(style.picture) as picture:
            return picture.convert("RGB")
    return Image.new("RGB", (128, 128), "#e4e2dc")


def _rows(found: Sequence[Style]) -> list[Row]:
    from lensa.prompts.collection import Styles
    from lensa.sheet import Row

    rows = []
    for pack, members in Styles({style.name: style for style in found}).packs.items():
        columns = ceil(len(members) / ceil(len(members) / _COLUMNS))  # rows of like length
        for start in range(0, len(members), columns):
            part = members[start : start + columns]
            pictures = [_picture(style) for style in part]
            rows.append(Row("" if start else pack, pictures, [style.label for style in part]))
    return rows
