"""Uploads in parallel: whole or not at all, and nothing that is there already."""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any

from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.listing import objects, pages
from lensa.backends.sagemaker.objects import THREADS, Blob, Object, Progress, content_type, follow
from lensa.backends.sagemaker.refusal_table import DENIED
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.errors import AccountError, StorageError

MULTIPART_BYTES = 64 * 2**20  # from this size on, a file goes in parts
PART_BYTES = 16 * 2**20

_SOON = timedelta(days=7)  # an object that expires before that is sent again, and begins anew
_EXPIRY = re.compile(r'expiry-date="([^"]+)"')


def upload(bucket: Bucket, blobs: Iterable[Blob], on_progress: Progress | None) -> int:
    """Send what is not there yet, and return how many bytes that was."""
    wanted = {blob.key: (blob, blob.size) for blob in blobs}
    folders = sorted({key.rpartition("/")[0] for key in wanted})
    there: dict[str, Object] = {}
    for folder in folders:
        prefix = f"{folder}/" if folder else ""
        there |= {found.key: found for found in objects(bucket, prefix) if found.key in wanted}
        _sweep(bucket, prefix, set(wanted))
    missing = [
        (blob, size)
        for key, (blob, size) in wanted.items()
        if key not in there or there[key].size != size or _expires_soon(bucket, there[key])
    ]
    total = sum(size for _, size in wanted.values())
    sent = sum(size for _, size in missing)
    if on_progress is not None:
        on_progress(total - sent, total)
    if missing:
        with explained(f"uploading to {bucket.uri('')}"):
            _send(bucket, [blob for blob, _ in missing], total - sent, total, on_progress)
    return sent


def _send(
    bucket: Bucket, blobs: list[Blob], done: int, total: int, on_progress: Progress | None
) -> None:
    # Threads put what happens here, and this thread tells it on: a Ctrl-C or an error of the
    # listener's ends the upload at once, and no listener is called by two threads.
    happened: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    # Leaving it by an exception cancels what is under way, and aborts uploads in parts.
    with transfers(bucket) as manager:
        watch = watcher(happened)
        futures = [
            manager.upload(
                BytesIO(blob.data) if isinstance(blob.data, bytes) else str(blob.data),
                bucket.name,
                bucket.key(blob.key),
                extra_args={**bucket.encryption(), "ContentType": content_type(blob.key)},
                subscribers=[watch],
            )
            for blob in blobs
        ]
        follow(happened, futures, _result, total, on_progress, done)


def _result(future: Any) -> None:
    try:
        future.result()
    except OSError as error:
        if error.filename is None:
            raise
        raise StorageError(f"{error.filename} cannot be read ({error.strerror}).") from None


def transfers(bucket: Bucket) -> Any:
    """Return a manager of transfers in parts and in parallel, as a context manager."""
    from s3transfer.manager import TransferConfig, TransferManager

    config = TransferConfig(
        multipart_threshold=MULTIPART_BYTES,
        multipart_chunksize=PART_BYTES,
        max_request_concurrency=THREADS,
        max_submission_concurrency=THREADS,
    )
    return TransferManager(bucket.client(), config)


def watcher(happened: queue.SimpleQueue[int | None]) -> Any:
    """Return what puts the bytes of each step of a transfer into a queue, and None at its end."""
    from s3transfer.subscribers import BaseSubscriber

    class Watcher(BaseSubscriber):  # type: ignore[misc]
        def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:
            happened.put(bytes_transferred)  # negative, when a retry begins again

        def on_done(self, future: Any, **_: Any) -> None:
            happened.put(None)

    return Watcher()


def _expires_soon(bucket: Bucket, found: Object) -> bool:
    """Whether a lifecycle rule is about to take an object that a job still has to read."""
    if datetime.now(UTC) - found.modified < timedelta(days=1):
        return False
    with explained(f"looking at {bucket.uri(found.key)}"):
        answer = bucket.client().head_object(Bucket=bucket.name, Key=bucket.key(found.key))
    date = _EXPIRY.search(answer.get("Expiration", ""))
    return date is not None and parsedate_to_datetime(date[1]) - datetime.now(UTC) < _SOON


def _sweep(bucket: Bucket, prefix: str, keys: set[str]) -> None:
    """Abort what a killed process left of these very keys, and whatever is old."""
    now = datetime.now(UTC)
    # A colleague may be sending the same base model right now: what is young is left alone.
    earlier, yesterday = now - timedelta(hours=2), now - timedelta(days=1)
    try:
        abort_uploads(
            bucket,
            prefix,
            lambda key, begun: begun < (earlier if key in keys else yesterday),
        )
    except AccountError as error:
        # Housekeeping needs a permission that uploading does not; the bucket's lifecycle does it.
        if error_code(error.__cause__) not in DENIED:
            raise


def abort_uploads(bucket: Bucket, prefix: str, which: Callable[[str, datetime], bool]) -> None:
    """Abort the open uploads of keys that begin with `prefix`, those that `which` picks by key and
    time of beginning."""
    client, cut = bucket.client(), len(bucket.key(""))
    for page in pages(bucket, "list_multipart_uploads", prefix):
        for left in page.get("Uploads", ()):
            key = left["Key"]
            if not which(key[cut:], left["Initiated"]):
                continue
            with explained(f"aborting an unfinished upload of s3://{bucket.name}/{key}"):
                try:
                    client.abort_multipart_upload(
                        Bucket=bucket.name, Key=key, UploadId=left["UploadId"]
                    )
                except client.exceptions.NoSuchUpload:
                    continue  # another process was faster
