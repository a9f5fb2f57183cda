"""The file of a batch into rows of named cells.

Every mistake is a ConfigError with the file's name and, where there is one, the line.
"""

from __future__ import annotations

from pathlib import Path

from lensa.batches.csv_rows import csv_rows
from lensa.batches.raw import RawRow
from lensa.errors import ConfigError

MOST_ROWS = 1000
_MOST_BYTES = 1_000_000

_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_rows(path: Path) -> list[RawRow]:
    """Return the rows of a CSV or YAML file, by its suffix. Raises ConfigError."""
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        from lensa.batches.yaml_rows import yaml_rows

        rows = yaml_rows(path, _text(path))
    elif suffix in {".csv", ".tsv", ".txt"}:
        rows = list(csv_rows(path, _text(path)))
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
