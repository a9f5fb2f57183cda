"""What AWS takes as a tag, so that it is not refused after an upload."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

_KEY, _VALUE = 128, 256  # characters, at most
_SIGNS = frozenset("_.:/=+-@")
_RESERVED = ("aws:", "lensa:")


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise ValueError for the first tag that AWS, or lensa itself, has no use for."""
    for key, value in tags.items():
        if key.lower().startswith(_RESERVED):
            raise ValueError(f"the tag {key!r} begins with a reserved prefix: rename it.")
        if not 1 <= len(key) <= _KEY:
            raise ValueError(f"the tag {key[:40]!r}: a tag's name has 1 to {_KEY} characters.")
        if len(value) > _VALUE:
            raise ValueError(f"the tag {key!r}: a tag's value has {_VALUE} characters at most.")
        for text in (key, value):
            wrong = [one for one in text if not _taken(one)]
            if wrong:
                raise ValueError(
                    f"the tag {key!r}: {wrong[0]!r} in {text!r}. AWS takes letters, digits, spaces "
                    "and _ . : / = + - @"
                )


def _taken(character: str) -> bool:
    return character in _SIGNS or unicodedata.category(character)[0] in "LNZ"
