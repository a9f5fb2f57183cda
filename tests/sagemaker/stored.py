"""A bucket behind the gate, and what is put into it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto_server import Answer, Gate, Request, s3_error

from lensa.backends.sagemaker import uploading
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.transfer import Blob, Store

MEGABYTE = 2**20
BIG = 11 * MEGABYTE  # three parts of the smallest size that S3 takes


@pytest.fixture(name="store")
def store_fixture(gate: Gate) -> Store:
    boto3.client("s3").create_bucket(
        Bucket="avatars", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    gate.requests.clear()
    return Store(Bucket(Account(), "avatars"))


@pytest.fixture(name="small_parts")
def small_parts_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
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


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
