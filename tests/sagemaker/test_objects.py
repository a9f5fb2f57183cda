"""One object, written and read; and what the bucket lists."""

from __future__ import annotations

import boto3
import pytest
from moto_server import (
    Gate,
    gate_fixture,  # noqa: F401
    moto_address_fixture,  # noqa: F401
    s3_error,
)
from stored import (
    photos,
    refuse,
    store_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.errors import ServiceError


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
