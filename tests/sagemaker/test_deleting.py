"""What is deleted goes in every version, and nothing beside it."""

from __future__ import annotations

import boto3
import pytest
from moto_server import (
    Answer,
    Gate,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
)
from stored import (
    keys,
    open_uploads,
    photos,
    store_fixture,  # noqa: F401
)

from lensa.backends.sagemaker import deleting
from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.errors import AccountError


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
