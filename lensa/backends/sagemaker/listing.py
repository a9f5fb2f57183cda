"""What is in a bucket, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.objects import Object
from lensa.backends.sagemaker.refusals import explained


def objects(bucket: Bucket, prefix: str) -> Iterator[Object]:
    """Yield the objects whose keys begin with `prefix`, sorted by key."""
    cut = len(bucket.key(""))
    for page in pages(bucket, "list_objects_v2", prefix):
        for found in page.get("Contents", ()):
            yield Object(found["Key"][cut:], found["Size"], found["LastModified"])


def pages(bucket: Bucket, operation: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of one of S3's list operations."""
    where = bucket.uri(prefix)
    with explained(f"listing {where}"):
        client = bucket.client()
        answers = iter(
            client.get_paginator(operation).paginate(Bucket=bucket.name, Prefix=bucket.key(prefix))
        )
    while True:
        with explained(f"listing {where}"):
            page = next(answers, None)
        if page is None:
            return
        yield page


def within(folder: str) -> str:
    """Return the prefix of what lies in a folder: of "photos/ab", nothing of "photos/abc"."""
    return f"{folder.rstrip('/')}/" if folder else ""
