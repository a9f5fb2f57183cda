"""All that lensa does with the objects of a bucket. Keys are relative to the bucket's prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.copying import Copy, copy
from lensa.backends.sagemaker.deleting import delete
from lensa.backends.sagemaker.downloading import download
from lensa.backends.sagemaker.listing import objects
from lensa.backends.sagemaker.objects import Blob, Object, Progress, content_type
from lensa.backends.sagemaker.patience import broken_off
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.backends.sagemaker.uploading import upload

__all__ = ["Blob", "Copy", "Object", "Progress", "Store"]

_ATTEMPTS = 5

_Files = list[Path]  # inside Store, `list` is the method


class Store:
    """The objects of one bucket. What AWS refuses is an AccountError or a ServiceError."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def put(self, blobs: Iterable[Blob], *, on_progress: Progress | None = None) -> int:
        """Upload in parallel what is not there yet, and return how many bytes that was.

        There means: the same key and size, and not about to expire. `on_progress(done, in all)`
        counts what is there already as done; it is called by the calling thread. Broken off by an
        error or Ctrl-C, it leaves whole objects only; what a killed process left of an upload in
        parts, the next `put` clears away. Raises StorageError if a file cannot be read.
        """
        return upload(self.bucket, blobs, on_progress)

    def copy(self, copies: Iterable[Copy], *, on_progress: Progress | None = None) -> int:
        """Copy objects within the bucket, in parallel, and return how many bytes those were.

        What is there already with the same size is passed over. Nothing comes to this machine.
        Raises ArtifactError for an object that is not there.
        """
        return copy(self.bucket, copies, on_progress)

    def write(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """Write one object. False, and nothing written, if it was there and `if_absent` is set."""
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if if_absent else {}
        for attempt in range(1, _ATTEMPTS + 1):
            with explained(f"writing {self.bucket.uri(key)}"):
                try:
                    self._client.put_object(
                        Bucket=self.bucket.name,
                        Key=self.bucket.key(key),
                        Body=data,
                        ContentType=content_type(key),
                        **self.bucket.encryption(),
                        **condition,
                    )
                except ClientError as error:
                    code = error_code(error)
                    if if_absent and code in {"PreconditionFailed", "412"}:
                        return False
                    if code == "ConditionalRequestConflict" and attempt < _ATTEMPTS:
                        continue  # two at once: the next attempt sees who was first
                    raise
            return True
        raise AssertionError("the last attempt returns or raises")

    def read(self, key: str) -> bytes | None:
        """Return one object's content, or None if there is none."""
        for attempt in range(1, _ATTEMPTS + 1):
            with explained(f"reading {self.bucket.uri(key)}"):
                try:
                    answer = self._client.get_object(
                        Bucket=self.bucket.name, Key=self.bucket.key(key)
                    )
                    # As a context manager of its own it hands out a stream that checks nothing.
                    with closing(answer["Body"]) as body:
                        content: bytes = body.read()
                    return content
                except self._client.exceptions.NoSuchKey:
                    return None
                except broken_off():
                    if attempt == _ATTEMPTS:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def list(self, prefix: str) -> Iterator[Object]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys."""
        return objects(self.bucket, prefix)

    def exists(self, prefix: str) -> bool:
        """Whether any key begins with `prefix`."""
        with explained(f"listing {self.bucket.uri(prefix)}"):
            answer = self._client.list_objects_v2(
                Bucket=self.bucket.name, Prefix=self.bucket.key(prefix), MaxKeys=1
            )
        return bool(answer.get("Contents"))

    def download(self, prefix: str, folder: Path, *, on_progress: Progress | None = None) -> _Files:
        """Download everything in the "folder" `prefix` into a local one; return the files, sorted.

        Each file appears whole or not at all. Raises StorageError if the disk is full or not
        writable, ArtifactError for a key that would lead out of the folder.
        """
        return download(self.bucket, prefix, folder, on_progress)

    def delete(self, prefix: str) -> int:
        """Delete the object `prefix` and all in the "folder" of that name, with every version and
        every unfinished upload. Returns how many objects and versions that were."""
        return delete(self.bucket, prefix)

    @property
    def _client(self) -> Any:
        return self.bucket.client()
