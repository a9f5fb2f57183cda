"""Whatever breaks an upload off, there are whole objects only, and what is left is cleared up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from moto_server import (
    Answer,
    Gate,
    Request,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
)
from stored import (
    BIG,
    DENIED,
    keys,
    open_uploads,
    photos,
    refuse,
    small_parts_fixture,  # noqa: F401
    store_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.errors import AccountError, StorageError


def test_an_error_in_the_middle_leaves_whole_objects_only(
    store: Store, gate: Gate, small_parts: None
) -> None:
    gate.rules.append(refuse("UploadPart", DENIED, after=2))
    with pytest.raises(AccountError, match=r"for s3:PutObject"):
        store.put([*photos(3), Blob("big", b"x" * BIG)])
    assert open_uploads() == []
    assert "lensa/big" not in keys()
    gate.rules.clear()
    assert {found.size for found in store.list("photos/")} <= {1000}
    store.put([*photos(3), Blob("big", b"x" * BIG)])
    assert len(keys()) == 4


def test_ctrl_c_in_the_listener_ends_the_upload(
    store: Store, gate: Gate, small_parts: None
) -> None:
    def on_progress(done: int, total: int) -> None:
        if done >= 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put([*photos(4), Blob("big", b"x" * BIG)], on_progress=on_progress)
    assert open_uploads() == []
    assert "lensa/big" not in keys()
    assert not [t.name for t in threading.enumerate() if "ThreadPoolExecutor" in t.name]


CHILD = """
import sys
from pathlib import Path
from lensa.backends.sagemaker import uploading
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.transfer import Blob, Store
uploading.MULTIPART_BYTES, uploading.PART_BYTES = 6 * 2**20, 5 * 2**20
Store(Bucket(Account(), "avatars")).put([Blob("code/big", Path(sys.argv[1]))])
"""


@pytest.mark.parametrize("killer", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_upload_leaves_no_object_and_the_next_one_clears_up(
    store: Store, gate: Gate, small_parts: None, tmp_path: Path, killer: signal.Signals
) -> None:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(BIG))
    under_way, go_on = threading.Event(), threading.Event()

    def hold(request: Request) -> Answer | None:
        if request.call == "UploadPart" and request.query["partNumber"] == "2":
            under_way.set()
            go_on.wait(60)
        return None

    gate.rules.append(hold)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert under_way.wait(60)
    child.send_signal(killer)
    if killer == signal.SIGINT:  # it ends when what it waits for has
        go_on.set()
    assert child.wait(60) != 0
    go_on.set()
    gate.rules.clear()
    assert keys() == []
    assert len(open_uploads()) == (1 if killer == signal.SIGKILL else 0)
    assert store.put([Blob("code/big", path)]) == BIG
    assert open_uploads() == []
    assert store.read("code/big") == path.read_bytes()


def test_only_abandoned_uploads_are_ended(store: Store, gate: Gate) -> None:
    """Another process may be at a young one, of the same key too."""
    now = datetime.now(UTC)
    begun = {
        "photos/ada/00.png": now - timedelta(hours=3),  # what is about to be sent
        "photos/ada/01.png": now - timedelta(hours=1),  # that too, and somebody is at it
        "photos/ada/young": now - timedelta(hours=20),
        "photos/ada/old": now - timedelta(hours=28),
    }
    entries = "".join(
        f"<Upload><Key>lensa/{key}</Key><UploadId>1</UploadId>"
        f"<Initiated>{when:%Y-%m-%dT%H:%M:%S.000Z}</Initiated></Upload>"
        for key, when in begun.items()
    )
    answer = Answer(
        200,
        "<?xml version='1.0'?><ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
        f"{entries}</ListMultipartUploadsResult>",
    )
    gate.rules.append(lambda request: answer if "uploads" in request.query else None)
    gate.rules.append(lambda request: Answer(204) if request.method == "DELETE" else None)
    store.put(photos(2))
    ended = [request.path for request in gate.requests if request.method == "DELETE"]
    assert ended == ["/avatars/lensa/photos/ada/00.png", "/avatars/lensa/photos/ada/old"]


def test_who_may_not_list_uploads_can_upload(store: Store, gate: Gate) -> None:
    gate.rules.append(lambda request: DENIED if "uploads" in request.query else None)
    assert store.put(photos(2)) == 2000


def test_a_file_that_is_gone_is_one_clear_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.png cannot be read"):
        store.put([Blob("photos/x", tmp_path / "gone.png")])
