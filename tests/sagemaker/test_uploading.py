"""Objects go up in parallel, encrypted, to a bucket of the account's own, and nothing twice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

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
from stored import (
    BIG,
    keys,
    listing,
    photos,
    refuse,
    small_parts_fixture,  # noqa: F401
    store_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.errors import AccountError


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
