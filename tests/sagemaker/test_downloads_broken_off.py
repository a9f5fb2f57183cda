"""Whatever breaks a download off, there are whole files only."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from moto_server import (
    Answer,
    Gate,
    Request,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
    no_waiting_fixture,  # noqa: F401
    s3_error,
)
from stored import (
    DENIED,
    MEGABYTE,
    everything,
    photos,
    store_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.patience import ATTEMPTS
from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.errors import AccountError, StorageError


def test_a_download_that_fails_leaves_no_part_of_a_file(
    store: Store, gate: Gate, tmp_path: Path
) -> None:
    store.put(photos(4))
    gate.rules.append(
        lambda request: (
            DENIED if request.method == "GET" and request.path.endswith("02.png") else None
        )
    )
    with pytest.raises(AccountError, match=r"downloading s3://avatars/lensa/photos/ada failed"):
        store.download("photos/ada", tmp_path / "out")
    assert all(path.stat().st_size == 1000 for path in everything(tmp_path))
    assert not any(path.name.startswith(".") for path in everything(tmp_path))


def test_ctrl_c_in_the_listener_ends_a_download(store: Store, tmp_path: Path) -> None:
    store.put([*photos(4), Blob("photos/ada/big", os.urandom(20 * MEGABYTE))])

    def on_progress(done: int, total: int) -> None:
        if done > 2 * MEGABYTE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.download("photos/ada", tmp_path / "out", on_progress=on_progress)
    sizes = {path.name: path.stat().st_size for path in everything(tmp_path)}
    assert all(size == 1000 or name == "big" for name, size in sizes.items())
    assert sizes.get("big") in {None, 20 * MEGABYTE}
    assert not any(name.startswith(".") for name in sizes)


def test_ctrl_c_ends_the_waiting_for_a_throttled_object(
    store: Store, gate: Gate, tmp_path: Path, no_waiting: list[float]
) -> None:
    store.put(photos(2))
    throttled = threading.Event()

    def rule(request: Request) -> Answer | None:
        if request.method != "GET" or not request.path.endswith("01.png"):
            return None
        throttled.set()
        return s3_error(503, "SlowDown", "Slow down.")

    def on_progress(done: int, total: int) -> None:
        assert throttled.wait(20)
        raise KeyboardInterrupt

    gate.rules.append(rule)
    with pytest.raises(KeyboardInterrupt):
        store.download("photos/ada", tmp_path, on_progress=on_progress)
    assert 0 < len(no_waiting) < ATTEMPTS - 1
    assert not any(path.name.startswith(".") for path in everything(tmp_path))


def test_a_download_that_is_cut_off_goes_on(store: Store, gate: Gate, tmp_path: Path) -> None:
    content = os.urandom(1000)
    store.put([Blob("photos/ada/x.png", content)])
    left = iter(range(2))

    def cut(request: Request) -> Answer | None:
        if request.method != "GET" or not request.path.endswith("x.png"):
            return None
        return None if next(left, None) is None else Answer(200, "half", {"Content-Length": "1000"})

    gate.rules.append(cut)
    seen: list[tuple[int, int]] = []
    (path,) = store.download("photos/ada", tmp_path, on_progress=lambda *step: seen.append(step))
    assert path.read_bytes() == content
    assert seen[-1] == (1000, 1000) and len(gate.requests) > 4


def test_a_reading_that_is_cut_off_goes_on(store: Store, gate: Gate) -> None:
    store.write("x.json", b"{}")
    left = iter(range(2))

    def cut(request: Request) -> Answer | None:
        if request.method != "GET" or next(left, None) is None:
            return None
        return Answer(200, "{", {"Content-Length": "2"})

    gate.rules.append(cut)
    assert store.read("x.json") == b"{}"


def test_what_arrives_damaged_is_fetched_again(store: Store, gate: Gate, tmp_path: Path) -> None:
    store.write("photos/ada/x.png", b"good")
    left = iter(range(1))

    def damage(request: Request) -> Answer | None:
        if not request.path.endswith("x.png") or next(left, None) is None:
            return None
        return Answer(200, "baad", {"x-amz-checksum-crc32": "AAAAAA=="})

    gate.rules.append(damage)
    (path,) = store.download("photos/ada", tmp_path)
    assert path.read_bytes() == b"good"


def test_a_full_disk_is_one_clear_error(store: Store, tmp_path: Path) -> None:
    store.put(photos(2))
    # Where the file is written before it gets its name: a device that is always full.
    (tmp_path / f".00.png.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="the disk is full"):
        store.download("photos/ada", tmp_path)
    assert not (tmp_path / "00.png").exists()
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_what_a_killed_download_left_is_cleared_away(store: Store, tmp_path: Path) -> None:
    store.put(photos(1))
    old, young = tmp_path / ".00.png.4194301", tmp_path / ".00.png.4194302"
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.download("photos/ada", tmp_path)
    assert everything(tmp_path) == {tmp_path / "00.png", young}


def test_a_folder_that_cannot_be_made_is_one_clear_error(store: Store, tmp_path: Path) -> None:
    store.put(photos(2))
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        store.download("photos/ada", tmp_path / "out")
