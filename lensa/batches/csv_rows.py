"""Rows out of a CSV, as the spreadsheets of the world write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lensa.batches.columns import column_name, value_of
from lensa.batches.raw import RawRow
from lensa.errors import ConfigError

_DELIMITERS = ",;\t"


def csv_rows(path: Path, text: str) -> Iterator[RawRow]:
    """Yield the rows. Raises ConfigError for what is no table."""
    delimiter, skipped = _delimiter(text)
    lines = io.StringIO("".join(text.splitlines(keepends=True)[skipped:]), newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] | None = None
    before = 0
    while True:
        line = before + skipped + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            _refuse(path, line, f"it cannot be read: {error}. A quote may be left open.")
        if cells is None:
            return
        before = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _header(path, line, cells)
            continue
        while len(cells) > len(header) and not cells[-1].strip():
            cells.pop()
        if len(cells) > len(header):
            _refuse(
                path,
                line,
                f"it has {len(cells)} cells and there are {len(header)} columns: put a cell that "
                f'has a {delimiter!r} in it in quotes, as "anime{delimiter}neon".',
            )
        filled = [pair for pair in zip(header, cells, strict=False) if pair[1].strip()]
        if nameless := [cell for column, cell in filled if not column]:
            _refuse(path, line, f"{nameless[0].strip()[:40]!r} is in a column without a name.")
        yield RawRow(line, {column: value_of(column, cell) for column, cell in filled})


def _delimiter(text: str) -> tuple[str, int]:
    """Return what stands between cells, and how many lines say only that: "sep=;"."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.strip().lower() in {f"sep={one}".strip() for one in _DELIMITERS}:
        return first.strip()[4:] or "\t", text.splitlines().index(first) + 1
    return max(_DELIMITERS, key=first.count), 0


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [column_name(cell) for cell in cells]
    if twice := [name for name in names if name and names.count(name) > 1]:
        _refuse(path, line, f"the column {twice[0]!r} is there twice.")
    return names


def _refuse(path: Path, line: int, message: str) -> NoReturn:
    raise ConfigError(f"{path}, line {line}: {message}")
