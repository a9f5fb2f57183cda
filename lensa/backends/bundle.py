"""The code that containers run: where it lies, and how it is packed to be sent.

In an installed package the entrypoints lie inside it, in a checkout beside it.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import lensa
from lensa.backends.disk import make_folder
from lensa.errors import ConfigError, StorageError

BUNDLE_NAME = "lensa.pyz"
PYTHON = "3.12"  # the containers'

Kind = Literal["training", "serving"]

_PACKAGE = Path(lensa.__file__).resolve().parent
_ENTRYPOINTS = ("launcher", "training_entrypoint", "inference_entrypoint")
_REQUIREMENTS = {
    "training": "training_entrypoint/requirements.txt",
    "serving": "inference_entrypoint/requirements.txt",
}
_HANDLERS = "launcher/code/inference.py"  # what AWS's image imports
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


@dataclass(frozen=True)
class Bundle:
    """A zipapp: `python3 lensa.pyz train`, or `serve`. `digest` is the sha256 of `data`."""

    digest: str
    data: bytes


def bundle_paths() -> list[Path]:
    """Return the folders that a child process needs on its path to run both entrypoints."""
    return list(dict.fromkeys([_code(), _PACKAGE.parent]))


def build_bundle() -> Bundle:
    """Return the code bundle. The same sources give the same bytes, wherever they are packed."""
    members = {"__main__.py": _code() / "launcher" / "__main__.py"}
    for package in _ENTRYPOINTS:
        members.update(_sources(_code() / package, _code()))
    members.update({name: _code() / name for name in _REQUIREMENTS.values()})
    members["lensa/__init__.py"] = _PACKAGE / "__init__.py"
    members["lensa/errors.py"] = _PACKAGE / "errors.py"
    members.update(_sources(_PACKAGE / "contract", _PACKAGE.parent))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, path in sorted(members.items()):
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.create_system = 3  # Unix, also when packed on Windows
            entry.external_attr = 0o100644 << 16
            # Stored: what a compressor makes of it differs from one build of zlib to the next.
            archive.writestr(entry, _text(path), zipfile.ZIP_STORED)
    data = buffer.getvalue()
    return Bundle(hashlib.sha256(data).hexdigest(), data)


def serving_code(wheelhouses: Path | None = None) -> dict[str, bytes | Path]:
    """Return what lies below `code/` of a model folder, by its path there: content, or a file.

    With `wheelhouses`, as `build_wheelhouse` has it, the packages are among it, for an endpoint
    without internet. The same folder serves on AWS's image and on our own. Raises as
    `build_wheelhouse` does.
    """
    code: dict[str, bytes | Path] = {
        BUNDLE_NAME: build_bundle().data,
        "inference.py": _text(_code() / _HANDLERS),
    }
    if wheelhouses is not None:
        wheels = build_wheelhouse(wheelhouses, "serving")
        code |= {f"wheels/{wheel.name}": wheel for wheel in wheels}
    return code


def requirements_file(kind: Kind = "training") -> Path:
    """Return the pinned requirements of the training, or of serving."""
    return _code() / _REQUIREMENTS[kind]


def _code() -> Path:
    installed = _PACKAGE / "_bundle"
    return installed if installed.is_dir() else _PACKAGE.parent


def _text(path: Path) -> bytes:
    """Return a source as it is on Unix, wherever it was checked out."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def _sources(package: Path, root: Path) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in package.rglob("*.py")}


def platform_options(python: str) -> list[str]:
    """Return the options with which pip chooses wheels for a container instead of this machine.

    `python` is a version such as "3.12"; the containers are x86_64 with glibc up to 2.35.
    """
    tags = [f"manylinux_2_{minor}" for minor in range(35, 4, -1)]
    tags += ["manylinux2014", "manylinux2010", "manylinux1", "linux"]
    platforms = [option for tag in tags for option in ("--platform", f"{tag}_x86_64")]
    return ["--python-version", python, "--implementation", "cp", "--only-binary=:all:", *platforms]


def build_wheelhouse(folder: Path, kind: Kind = "training") -> list[Path]:
    """Return the wheels of the requirements for the containers' Python, for those without internet.

    They are downloaded once, into a folder below `folder` that is named by the requirements' digest
    and is whole or not there. Raises ConfigError if pip or the index is missing,
    StorageError if the disk is full.
    """
    requirements = requirements_file(kind)
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    final = folder / digest
    if not final.is_dir():
        make_folder(folder)
        with tempfile.TemporaryDirectory(prefix=f".{digest}.", dir=folder) as partial:
            wheels = Path(partial) / "wheels"
            _download(requirements, wheels)
            try:
                wheels.rename(final)
            except OSError:  # another client was quicker; its wheels are the same
                if not final.is_dir():
                    raise
    return sorted(final.glob("*.whl"))


def _download(requirements: Path, target: Path) -> None:
    if find_spec("pip") is None:
        raise ConfigError(
            "the packages of a container without internet are fetched by pip, which this Python "
            f"lacks: {sys.executable} -m ensurepip, or leave network isolation out."
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--require-hashes", "--disable-pip-version-check", *platform_options(PYTHON)]
    command += ["--requirement", str(requirements), "--dest", str(target)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 0:
        return
    if "No space left on device" in done.stderr:
        raise StorageError(
            "the disk is full: the wheels for containers without internet (about 100 MB) do not "
            f"fit below {target.parent}. Free some space, or set LENSA_HOME to another disk."
        )
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    reason = (errors or done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    raise ConfigError(
        "the packages of a container without internet cannot be downloaded: "
        f"{reason.removeprefix('ERROR:').strip().rstrip('.')[:400]}. Check that pip reaches the "
        "package index from here; what it has already is kept in its cache."
    )
