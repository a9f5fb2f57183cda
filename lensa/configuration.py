"""`lensa.toml`, written to: what is set here can be taken out again, and the rest stays as it is.

Each line that is ours ends in a comment that says so. Comments, order and spacing of everything
else are kept: that is what tomlkit is for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensa.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

__all__ = ["FILE", "check_writable", "forget", "remember"]

FILE = Path("lensa.toml")
MARK = "by lensa setup"

Values = Mapping[str, str | Mapping[str, str]]
"""Setting -> its value, or table -> (setting -> value)."""


def check_writable(path: Path = FILE) -> None:
    """Raise ConfigError or StorageError if the file could not be read and written to later."""
    _read(path)
    place = path if path.exists() else path.absolute().parent
    if not os.access(place, os.W_OK):
        raise StorageError(
            f"{path} cannot be written: {place} is read-only for you. Call lensa setup in a folder "
            "of your own; the file is read from the folder that lensa is called in."
        )


def remember(values: Values, path: Path = FILE) -> list[str]:
    """Set what `values` says, take out what was ours and is not in it, and leave the rest.

    Returns a line on each value of the user's own that had to give way.
    """
    document = _read(path)
    replaced = _replaced(document, values)
    _clear(document, keep=values)
    for name, value in values.items():
        if isinstance(value, str):
            _set(document, name, value)
        else:
            if name not in document:
                document[name] = _table()
            for key, text in value.items():
                _set(document[name], key, text)
    _write(path, document)
    return replaced


def forget(path: Path = FILE) -> bool:
    """Take out every line that is ours; False if there was none. An empty file goes, too."""
    if not path.exists():
        return False
    document = _read(path)
    if not _clear(document, keep={}):
        return False
    if document.as_string().strip():
        _write(path, document)
    else:
        path.unlink()
    return True


def _read(path: Path) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_text("utf-8") if path.exists() else "")
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}. Mend it, or move it away.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from None


def _write(path: Path, document: TOMLDocument) -> None:
    target = path.resolve()  # what a link points to is written, not the link
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_text(document.as_string(), "utf-8")
        partial.replace(target)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)


def _table() -> Any:
    import tomlkit

    return tomlkit.table()


def _set(table: Any, name: str, value: str) -> None:
    import tomlkit

    item = tomlkit.string(value)
    item.comment(MARK)
    table[name] = item
    # A value in the place of another keeps the other's comment.
    table.item(name).comment(MARK)


def _ours(item: Any) -> bool:
    trivia = getattr(item, "trivia", None)
    return trivia is not None and MARK in trivia.comment


def _tables(document: Any) -> list[tuple[str, Any]]:
    return [(name, document[name]) for name in list(document) if hasattr(document[name], "items")]


def _replaced(document: Any, values: Values) -> list[str]:
    lines = []
    for name, value in values.items():
        pairs = [("", name, value)] if isinstance(value, str) else []
        if isinstance(value, Mapping):
            pairs = [(name, key, text) for key, text in value.items()]
        for table, key, text in pairs:
            there = document.get(table, {}) if table else document
            if key not in there or _ours(there.item(key)) or str(there[key]) == text:
                continue
            full = f"{table}.{key}" if table else key
            lines.append(f"{full} was {str(there[key])!r} in lensa.toml")
    return lines


def _clear(document: Any, keep: Values) -> bool:
    """Take out our lines but those in `keep`; whether there were any."""
    found = False
    for table, there in [("", document), *_tables(document)]:
        kept = keep.get(table, {}) if table else keep
        gone = [name for name in list(there) if _ours(there.item(name)) and name not in kept]
        for name in gone:
            there.remove(name)
        found = found or bool(gone)
        if table and gone and not there:
            document.remove(table)
    return found
