"""Objects to and from S3: in parallel, encrypted, whole or not at all, and nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto_server import (
    OWNER,
    Answer,
    Gate,
    Request,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
    no_waiting_fixture,  # noqa: F401
    owned_by,
    s3_error,
)

from lensa.backends.sagemaker import deleting, uploading
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.patience import ATTEMPTS
from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.errors import AccountError, ArtifactError, ServiceError, StorageError

MEGABYTE = 2**20
BIG = 11 * MEGABYTE  # three parts of the smallest size that S3 takes


@pytest.fixture
def store(gate: Gate) -> Store:
    boto3.client("s3").create_bucket(
        Bucket="avatars", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    gate.requests.clear()
    return Store(Bucket(Account(), "avatars"))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "MULTIPART_BYTES", 6 * MEGABYTE)
    monkeypatch.setattr(uploading, "PART_BYTES", 5 * MEGABYTE)


def photos(count: int = 12) -> list[Blob]:
    return [Blob(f"photos/ada/{i:02}.png", bytes([i]) * 1000) for i in range(count)]


def keys() -> list[str]:
    answer = boto3.client("s3").list_objects_v2(Bucket="avatars")
    return [found["Key"] for found in answer.get("Contents", ())]


def open_uploads() -> list[dict[str, Any]]:
    answer = boto3.client("s3").list_multipart_uploads(Bucket="avatars")
    return list(answer.get("Uploads", ()))


def refuse(call: str, answer: Answer, after: int = 0, times: int = 10**6) -> Any:
    """Refuse a call that S3 gets, from the one after the first few."""
    seen = iter(range(10**6))
    lock = threading.Lock()

    def rule(request: Request) -> Answer | None:
        if request.call != call:
            return None
        with lock:
            number = next(seen)
        return answer if after <= number < after + times else None

    return rule


DENIED = s3_error(403, "AccessDenied", "Access Denied")


# --- up ---


def test_what_is_uploaded_is_there_with_its_type_and_progress(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    seen: list[tuple[int, int]] = []
    threads: set[int] = set()

    def on_progress(done: int, total: int) -> None:
        seen.append((done, total))
        threads.add(threading.get_ident())

    sent = store.put([*photos(), Blob("code/a.json", path)], on_progress=on_progress)
    assert sent == 12_002
    assert seen[0] == (0, 12_002) and seen[-1] == (12_002, 12_002)
    assert seen == sorted(seen) and len(seen) > 12
    assert threads == {threading.get_ident()}
    assert keys() == ["lensa/code/a.json", *(f"lensa/photos/ada/{i:02}.png" for i in range(12))]
    assert store.read("photos/ada/03.png") == b"\x03" * 1000
    client = boto3.client("s3")
    types = {
        key: client.head_object(Bucket="avatars", Key=key)["ContentType"] for key in keys()[:2]
    }
    assert list(types.values()) == ["application/json", "image/png"]


def test_photos_go_up_side_by_side(store: Store, gate: Gate) -> None:
    """Eight requests that each wait for seven others: one after the other they would never end."""
    barrier = threading.Barrier(8, timeout=20)

    def wait_for_the_others(request: Request) -> None:
        if request.call == "PutObject":
            barrier.wait()

    gate.rules.append(wait_for_the_others)
    store.put(photos(8))
    assert len(keys()) == 8


def test_what_is_there_already_is_not_sent_again(store: Store, gate: Gate) -> None:
    store.put(photos(3))
    store.write("photos/ada/01.png", b"cut off")  # of another size: not the same
    gate.requests.clear()
    seen: list[tuple[int, int]] = []
    assert store.put(photos(4), on_progress=lambda *step: seen.append(step)) == 2000
    assert gate.calls().count("PutObject") == 2
    assert seen[0] == (2000, 4000) and seen[-1] == (4000, 4000)
    gate.requests.clear()
    assert store.put(photos(4)) == 0
    assert gate.calls().count("PutObject") == 0


def listing(*keys: str, modified: str = "2026-01-01T00:00:00.000Z") -> Any:
    """A bucket that says it has these objects, of a kilobyte each."""
    entries = "".join(
        f"<Contents><Key>lensa/{key}</Key><Size>1000</Size><LastModified>{modified}</LastModified>"
        "</Contents>"
        for key in keys
    )
    answer = Answer(
        200,
        f'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>{entries}'
        "</ListBucketResult>",
    )
    return lambda request: answer if request.query.get("list-type") == "2" else None


def test_what_is_about_to_expire_is_sent_again(store: Store, gate: Gate) -> None:
    """A job would look for photos that the lifecycle rule has taken in the meantime."""

    def head(request: Request) -> Answer | None:
        if request.method != "HEAD":
            return None
        days = 2 if request.path.endswith("00.png") else 20
        when = format_datetime(datetime.now(UTC) + timedelta(days=days), usegmt=True)
        return Answer(200, "", {"x-amz-expiration": f'expiry-date="{when}", rule-id="photos"'})

    gate.rules += [listing("photos/ada/00.png", "photos/ada/01.png"), head]
    assert store.put(photos(2)) == 1000
    assert [r.path for r in gate.requests if r.call == "PutObject"] == [
        "/avatars/lensa/photos/ada/00.png"
    ]


def test_every_object_is_encrypted_and_names_its_owner(
    store: Store, gate: Gate, small_parts: None
) -> None:
    store.put([*photos(3), Blob("code/big", b"x" * BIG)])
    store.write("subjects/x/subject.json", b"{}")
    begun = [r for r in gate.requests if r.call in {"PutObject", "CreateMultipartUpload"}]
    assert len(begun) == 5
    assert {r.headers["x-amz-server-side-encryption"] for r in begun} == {"AES256"}
    touched = [r for r in gate.requests if r.path.startswith("/avatars")]
    assert {r.headers.get("x-amz-expected-bucket-owner") for r in touched} == {OWNER}


def test_a_key_of_yours_encrypts_every_object(store: Store, gate: Gate, small_parts: None) -> None:
    key = f"arn:aws:kms:eu-west-1:{OWNER}:key/1234"
    Store(Bucket(Account(), "avatars", kms_key=key)).put([*photos(2), Blob("big", b"x" * BIG)])
    begun = [r for r in gate.requests if r.call in {"PutObject", "CreateMultipartUpload"}]
    assert len(begun) == 3
    for request in begun:
        assert request.headers["x-amz-server-side-encryption"] == "aws:kms"
        assert request.headers["x-amz-server-side-encryption-aws-kms-key-id"] == key


def test_a_bucket_of_somebody_elses_gets_no_photo(store: Store, gate: Gate) -> None:
    gate.rules.append(owned_by("999999999999", "avatars"))
    with pytest.raises(AccountError, match="access denied"):
        store.put(photos())
    gate.rules.clear()
    assert keys() == []


def test_a_disabled_key_is_one_clear_error(store: Store, gate: Gate) -> None:
    key = f"arn:aws:kms:eu-west-1:{OWNER}:key/1234"
    answer = s3_error(400, "KMS.DisabledException", f"{key} is disabled.")
    gate.rules.append(refuse("PutObject", answer))
    bucket = Bucket(Account(), "avatars", kms_key=key)
    with pytest.raises(AccountError, match=r"uploading to s3://avatars.*KMS key is disabled"):
        Store(bucket).put(photos())


def test_throttled_uploads_arrive(store: Store, gate: Gate, no_waiting: list[float]) -> None:
    gate.rules.append(refuse("PutObject", s3_error(503, "SlowDown", "Slow down."), times=200))
    seen: list[tuple[int, int]] = []
    store.put(photos(5), on_progress=lambda *step: seen.append(step))
    assert len(keys()) == 5 and seen[-1] == (5000, 5000)
    assert len(no_waiting) == 200


# --- broken off ---


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
from lensa.backends.sagemaker import deleting, uploading
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.patience import ATTEMPTS
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


# --- one object ---


def test_an_object_is_written_once_if_asked(store: Store) -> None:
    assert store.write("subjects/a/subject.json", b"one", if_absent=True) is True
    assert store.write("subjects/a/subject.json", b"two", if_absent=True) is False
    assert store.read("subjects/a/subject.json") == b"one"
    assert store.write("subjects/a/subject.json", b"three") is True
    assert store.read("subjects/a/subject.json") == b"three"


def test_of_two_writers_at_once_one_is_told_that_it_was_late(store: Store, gate: Gate) -> None:
    conflict = s3_error(409, "ConditionalRequestConflict", "The conditional request cannot succeed")
    gate.rules.append(refuse("PutObject", conflict, times=2))
    assert store.write("x", b"one", if_absent=True) is True
    gate.rules.clear()
    gate.rules.append(refuse("PutObject", conflict))
    with pytest.raises(ServiceError, match="another request is changing the same"):
        store.write("x", b"one", if_absent=True)


def test_what_is_absent_reads_as_none(store: Store) -> None:
    assert store.read("nothing") is None
    assert not store.exists("nothing")
    assert list(store.list("nothing")) == []


def test_listing_tells_keys_sizes_and_times(store: Store) -> None:
    store.put(photos(2))
    boto3.client("s3").put_object(Bucket="avatars", Key="lensaphotos/ada/x", Body=b"")
    found = list(store.list("photos/ada/"))
    assert [(one.key, one.size) for one in found] == [
        ("photos/ada/00.png", 1000),
        ("photos/ada/01.png", 1000),
    ]
    assert found[0].modified.tzinfo is not None
    assert len(list(store.list(""))) == 2
    assert store.exists("photos/ada/") and store.exists("photos/ada/00.png")


def test_a_key_with_odd_characters_comes_back_as_it_was(store: Store) -> None:
    key = "bases/a b+c&d%20é=?#/x.bin"
    store.put([Blob(key, b"x")])
    assert [one.key for one in store.list("bases/")] == [key]
    assert store.read(key) == b"x"
    assert store.put([Blob(key, b"x")]) == 0


# --- down ---


def test_a_folder_comes_down_with_its_files_and_progress(store: Store, tmp_path: Path) -> None:
    blobs = [*photos(10), Blob("photos/ada/deep/er/big.bin", os.urandom(3 * MEGABYTE))]
    store.put([*blobs, Blob("photos/adam/x.png", b"not hers")])
    store.write("photos/ada/", b"")  # as the console makes folders
    seen: list[tuple[int, int]] = []
    files = store.download(
        "photos/ada", tmp_path / "out", on_progress=lambda *step: seen.append(step)
    )
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in files} == {
        blob.key.removeprefix("photos/ada/"): blob.data for blob in blobs
    }
    total = sum(blob.size for blob in blobs)
    assert seen[-1] == (total, total) and seen == sorted(seen)
    assert files == sorted(files)
    assert everything(tmp_path) == set(files)


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/etc/x", "..", "c:\\x", "a//b", "link/x"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(
    store: Store, gate: Gate, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "link").symlink_to(tmp_path)
    gate.rules.append(listing("avatars/a/good", f"avatars/a/{name}"))
    with pytest.raises(ArtifactError, match=r"would be written outside of .* nothing was downl"):
        store.download("avatars/a", out)
    assert everything(tmp_path) == set()


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


# --- away ---


def test_deleting_takes_a_folder_and_nothing_beside_it(store: Store) -> None:
    store.put([*photos(3), Blob("photos/adam/x.png", b"x"), Blob("photos/ad", b"x")])
    assert store.delete("photos/ada") == 3
    assert keys() == ["lensa/photos/ad", "lensa/photos/adam/x.png"]
    assert store.delete("photos/ad") == 1
    assert store.delete("photos/ada") == 0
    with pytest.raises(ValueError, match="everything"):
        store.delete("/")


def test_deleting_takes_every_version_and_what_was_deleted_before(store: Store) -> None:
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket="avatars", VersioningConfiguration={"Status": "Enabled"})
    for content in (b"1", b"2"):
        store.write("photos/ada/a.png", content)
        store.write("photos/adam/a.png", content)
    store.write("photos/ada/b.png", b"1")
    client.delete_object(Bucket="avatars", Key="lensa/photos/ada/b.png")
    assert store.delete("photos/ada/") == 4  # two versions, a version, and the mark on it
    left = client.list_object_versions(Bucket="avatars")
    assert {one["Key"] for one in left["Versions"]} == {"lensa/photos/adam/a.png"}
    assert "DeleteMarkers" not in left


def test_more_than_one_request_takes_is_deleted_in_several(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket="avatars", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        client.put_object(Bucket="avatars", Key="lensa/x/y", Body=b"")
    monkeypatch.setattr(deleting, "_AT_ONCE", 2)
    assert store.delete("x") == 3
    assert sum("delete" in request.query for request in gate.requests) == 2
    assert keys() == []


def test_deleting_ends_unfinished_uploads_too(store: Store) -> None:
    client = boto3.client("s3")
    for key in ("lensa/photos/ada/x", "lensa/photos/adam/x"):
        client.create_multipart_upload(Bucket="avatars", Key=key)
    store.delete("photos/ada")
    assert [one["Key"] for one in open_uploads()] == ["lensa/photos/adam/x"]


def test_what_cannot_be_deleted_is_said(store: Store, gate: Gate) -> None:
    store.put(photos(2))
    gate.rules.append(
        lambda request: (
            Answer(
                200,
                '<?xml version="1.0"?><DeleteResult><Error><Key>lensa/photos/ada/00.png</Key>'
                "<Code>AccessDenied</Code><Message>Access Denied</Message></Error></DeleteResult>",
            )
            if "delete" in request.query
            else None
        )
    )
    with pytest.raises(AccountError, match=r"00\.png failed: Access Denied.*s3:DeleteObject"):
        store.delete("photos/ada")
