"""Copies within a bucket: S3 makes them, and not a byte comes to this machine."""

from __future__ import annotations

import queue
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.listing import objects
from lensa.backends.sagemaker.objects import Progress, content_type, follow
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.backends.sagemaker.uploading import transfers, watcher
from lensa.errors import ArtifactError


@dataclass(frozen=True)
class Copy:
    """An object to be copied. Keys are relative to the bucket's prefix."""

    source: str
    target: str
    size: int  # bytes


def copy(bucket: Bucket, copies: Iterable[Copy], on_progress: Progress | None) -> int:
    """Copy what is not there yet, and return how many bytes that was."""
    wanted = {one.target: one for one in copies}
    folders = sorted({target.rpartition("/")[0] for target in wanted})
    there = {found.key: found.size for folder in folders for found in objects(bucket, f"{folder}/")}
    missing = [one for one in wanted.values() if there.get(one.target) != one.size]
    total = sum(one.size for one in missing)
    if missing:
        with explained(f"copying within {bucket.uri('')}"):
            _copy_all(bucket, missing, total, on_progress)
    return total


def _copy_all(bucket: Bucket, copies: list[Copy], total: int, on_progress: Progress | None) -> None:
    happened: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    with transfers(bucket) as manager:
        watch = watcher(happened)
        futures = {
            manager.copy(
                {"Bucket": bucket.name, "Key": bucket.key(one.source)},
                bucket.name,
                bucket.key(one.target),
                extra_args={
                    **bucket.encryption(),
                    "ContentType": content_type(one.target),
                    "MetadataDirective": "REPLACE",  # else S3 heeds no ContentType
                },
                subscribers=[watch],
            ): one
            for one in copies
        }

        def result(future: Any) -> None:
            from botocore.exceptions import ClientError

            try:
                future.result()
            except ClientError as error:
                if error_code(error) not in {"404", "NoSuchKey"}:
                    raise
                raise ArtifactError(
                    f"{bucket.uri(futures[future].source)} is not there (any more)."
                ) from None

        follow(happened, list(futures), result, total, on_progress)
