"""A file or folder that appears whole or not at all, in the precision that was asked for."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from lensa.contract.exports import ExportPrecision
from lensa.errors import ArtifactError, StorageError

DTYPES: dict[ExportPrecision, torch.dtype] = {"fp16": torch.float16, "fp32": torch.float32}

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def whole(target: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary path beside `target`, for a file or a folder, and rename what was made.

    Raises StorageError if the target is there and `force` is not given, if it is a folder but no
    diffusers model, and for a disk that is full or must not be written.
    """
    if target.exists() and not force:
        raise StorageError(f"{target} is there already: choose another --out, or give --force.")
    if target.is_dir() and not (target / "model_index.json").is_file():
        raise StorageError(f"{target} is a folder of something else, and is not replaced.")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with _in_words(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _give_usual_modes(partial)
            if target.is_dir():
                shutil.rmtree(target)  # a rename replaces files alone
            partial.replace(target)
    finally:
        with suppress(OSError):  # what went wrong before says more
            _remove(partial)


def need_space(target: Path, size: int) -> None:
    """Raise StorageError if so many bytes do not fit, before the first one is written."""
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise StorageError(
            f"the disk is full: {target} takes {size / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are "
            "free. Free some space, or choose an --out on another disk."
        )


def in_precision(tensors: Mapping[str, Tensor], precision: ExportPrecision) -> dict[str, Tensor]:
    """Return copies in a precision; integers stay.

    Raises ArtifactError if a number is beyond fp16's range, where it would become infinite.
    """
    dtype = DTYPES[precision]
    made = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().clone()
        for name, value in tensors.items()
    }
    for name, value in made.items():
        if value.is_floating_point() and not value.isfinite().all():
            if not tensors[name].isfinite().all():
                raise ArtifactError(f"{name} holds values that are not numbers: nothing exported.")
            raise ArtifactError(f"{name} holds numbers beyond {precision}: use --precision fp32.")
    return made


def total_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors.values())


def _give_usual_modes(made: Path) -> None:
    """safetensors lets nobody but the writer read its files, whatever the umask says."""
    umask = os.umask(0)
    os.umask(umask)
    for file in [made] if made.is_file() else made.rglob("*.safetensors"):
        file.chmod(0o666 & ~umask)


@contextmanager
def _in_words(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        number = _error_number(error)
        if number is None:  # about something else than this disk
            raise
        if number in _FULL:
            raise _full(target) from None
        raise StorageError(f"{target} cannot be written: {os.strerror(number)}.") from None


def _error_number(error: BaseException | None) -> int | None:
    """Return the number of the operating system's error, wherever a library keeps it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        if isinstance(error, SafetensorError):
            said = re.search(r"os error (\d+)\)", str(error))
            return int(said[1]) if said else None
        error = error.__context__  # torch fails once more, over what it could not finish
    return None


def _full(target: Path) -> StorageError:
    return StorageError(
        f"the disk is full: {target} does not fit, and nothing of it is left. Free some space, or "
        "choose an --out on another disk."
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
