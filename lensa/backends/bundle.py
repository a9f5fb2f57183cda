"""Where the entrypoints' code lies: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import lensa

_PACKAGE = Path(lensa.__file__).resolve().parent


def bundle_paths() -> list[Path]:
    """Return the folders that a child process needs on its path to run both entrypoints."""
    installed = _PACKAGE / "_bundle"
    code = installed if installed.is_dir() else _PACKAGE.parent
    return list(dict.fromkeys([code, _PACKAGE.parent]))
