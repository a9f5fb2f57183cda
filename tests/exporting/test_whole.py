"""An export appears whole or not at all, and replaces nothing that it should not."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from exporting.avatars import made
from inference.making import fresh_micro

from inference_entrypoint.artifact import LORA_FILE, read_manifest
from inference_entrypoint.exporting.checkpoint import save_checkpoint
from inference_entrypoint.exporting.folder import save_folder
from inference_entrypoint.exporting.kohya import save_kohya
from inference_entrypoint.exporting.lora import save_lora
from inference_entrypoint.exporting.writing import need_space, whole
from lensa.errors import StorageError

Save = Callable[..., Any]


@pytest.fixture(params=["lora", "kohya", "checkpoint", "ckpt", "diffusers"])
def save(
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Save:
    """Write the same avatar in one form after the other: save(target, force=...)."""
    folder, _ = made(tmp_path)
    manifest = read_manifest(folder)
    source = folder / LORA_FILE

    def checkpoint(target: Path, **options: Any) -> None:
        pickled = request.param == "ckpt"
        save_checkpoint(fresh_micro(), target, manifest=manifest, pickled=pickled, **options)

    def diffusers(target: Path, **options: Any) -> None:
        save_folder(fresh_micro(), target, **options)

    return {
        "lora": lambda target, **options: save_lora(source, target, **options),
        "kohya": lambda target, **options: save_kohya(source, target, manifest, **options),
        "checkpoint": checkpoint,
        "ckpt": checkpoint,
        "diffusers": diffusers,
    }[request.param]


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Writing more to a file fails, as it does on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def test_a_full_disk_leaves_nothing_and_spares_what_was_there(save: Save, tmp_path: Path) -> None:
    out = tmp_path / "exports" / "out"
    with files_up_to(10_000), pytest.raises(StorageError, match="the disk is full"):
        save(out)
    assert list(out.parent.iterdir()) == []
    save(out)
    before = contents(out)
    with files_up_to(10_000), pytest.raises(StorageError, match="the disk is full"):
        save(out, force=True)
    assert contents(out) == before
    assert list(out.parent.iterdir()) == [out]


def test_what_is_there_is_replaced_only_by_force(save: Save, tmp_path: Path) -> None:
    out = tmp_path / "out"
    save(out)
    before = contents(out)
    with pytest.raises(StorageError, match="is there already"):
        save(out)
    save(out, force=True)
    assert contents(out).keys() == before.keys()
    everybody = {oct(Path(name).stat().st_mode & 0o444) for name in before}
    assert everybody == {"0o444"}  # readable as any other file


def test_a_folder_of_something_else_is_never_replaced(save: Save, tmp_path: Path) -> None:
    out = tmp_path / "models"
    out.mkdir()
    (out / "precious").write_text("x")
    with pytest.raises(StorageError, match="a folder of something else"):
        save(out, force=True)
    assert (out / "precious").read_text() == "x"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(StorageError, match="cannot be written"),
        whole(tmp_path / "file" / "out", force=False) as partial,
    ):
        partial.write_text("y")


def test_space_is_asked_for_before_a_byte_is_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="takes 1,000,000,000,000 MB"):
        need_space(tmp_path / "out", 10**18)


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole(tmp_path / "out", force=False) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
