"""A file with a row a person, as a spreadsheet or as YAML writes it, into rows of named cells.

Every mistake is a ConfigError with the file's name and, where there is one, the line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lensa.batches.columns import column_name, value_of
from lensa.errors import ConfigError

MOST_ROWS = 1000
_MOST_BYTES = 1_000_000

_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class RawRow:
    """A row as it was written: the cells that are not empty."""

    line: int  # of the file, from 1
    cells: dict[str, Any]


def read_rows(path: Path) -> list[RawRow]:
    """Return the rows of a CSV or YAML file, by its suffix. Raises ConfigError."""
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        from lensa.batches.yaml_rows import yaml_rows

        rows = yaml_rows(path, _text(path))
    elif suffix in {".csv", ".tsv", ".txt"}:
        rows = list(_csv_rows(path, _text(path)))
    else:
        raise ConfigError(f"{path}: a batch is a .csv or a .yaml: save it as one of these.")
    if not rows:
        raise ConfigError(f"{path} has no rows: give one a person, with subject and photos.")
    if len(rows) > MOST_ROWS:
        raise ConfigError(f"{path} has {len(rows):,} rows, {MOST_ROWS:,} at most: split it.")
    return rows


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: no file has such a name
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', error)}.") from None
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"{path} is larger than 1 MB: a batch is a list, split it.")
    encoding = next((code for mark, code in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise ConfigError(
            f'{path} is not UTF-8: save it anew, in a spreadsheet as "CSV UTF-8".'
        ) from None
    if "\0" in text:
        raise ConfigError(f"{path} is no text: it holds bytes that are 0.")
    return text


def _csv_rows(path: Path, text: str) -> Iterator[RawRow]:
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
        yield RawRow(
            line,
            {
                column: value_of(column, cell)
                for column, cell in zip(header, cells, strict=False)
                if cell.strip() and column
            },
        )


def _delimiter(text: str) -> tuple[str, int]:
    """Return what stands between cells, and how many lines say only that: "sep=;"."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        return first.strip()[4], text.splitlines().index(first) + 1
    return max(_DELIMITERS, key=first.count), 0


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [column_name(cell) for cell in cells]
    if twice := [name for name in names if name and names.count(name) > 1]:
        _refuse(path, line, f"the column {twice[0]!r} is there twice.")
    return names


def _refuse(path: Path, line: int, message: str) -> NoReturn:
    raise ConfigError(f"{path}, line {line}: {message}")
