"""The revision of weights that lie on a disk: a digest that client and container agree on."""

from __future__ import annotations

import hashlib
from pathlib import Path

REVISION_FILE = "REVISION"  # beside a mirrored or packaged base: the revision it was copied from


def weights_digest(path: Path) -> str:
    """Return 16 hexadecimal digits over every .safetensors file of a folder, or over one file.

    A folder's own `embedder/` is left out: images are measured with it, and none is drawn.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.safetensors"))
    files = [file for file in files if file.relative_to(path).parts[:1] != ("embedder",)]
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            part = hashlib.file_digest(stream, "sha256").hexdigest()
        name = "" if path.is_file() else file.relative_to(path).as_posix()
        whole.update(f"{name} {part}\n".encode())
    return whole.hexdigest()[:16]
