"""Deleting for good: objects, their versions, and uploads that never ended."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.listing import pages, within
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.uploading import abort_uploads
from lensa.errors import AccountError

_AT_ONCE = 1000  # what DeleteObjects takes
_ATTEMPTS = 5


def delete(bucket: Bucket, prefix: str) -> int:
    """Delete what is called `prefix` or lies in the folder of that name; return how many."""
    prefix = prefix.rstrip("/")
    if not prefix:
        raise ValueError("delete needs a prefix: everything is too much")
    abort_uploads(bucket, prefix, lambda key, _: key == prefix or key.startswith(within(prefix)))
    client = bucket.client()
    with explained(f"looking at the versions in the bucket {bucket.name}"):
        versioned = "Status" in client.get_bucket_versioning(Bucket=bucket.name)
    found = _entries(bucket, prefix, versioned)
    count = 0
    while batch := list(islice(found, _AT_ONCE)):
        _delete_all(bucket, prefix, batch)
        count += len(batch)
    return count


def _entries(bucket: Bucket, prefix: str, versioned: bool) -> Iterator[dict[str, str]]:
    exact, folder = bucket.key(prefix), bucket.key(within(prefix))
    operation = "list_object_versions" if versioned else "list_objects_v2"
    for page in pages(bucket, operation, prefix):
        for kind in ("Versions", "DeleteMarkers") if versioned else ("Contents",):
            for found in page.get(kind, ()):
                if found["Key"] == exact or found["Key"].startswith(folder):
                    version = {"VersionId": found["VersionId"]} if versioned else {}
                    yield {"Key": found["Key"], **version}


def _delete_all(bucket: Bucket, prefix: str, batch: list[dict[str, str]]) -> None:
    """One answer to many deletions says of each whether it failed."""
    for _ in range(_ATTEMPTS):
        with explained(f"deleting {bucket.uri(prefix)}"):
            answer: dict[str, Any] = bucket.client().delete_objects(
                Bucket=bucket.name, Delete={"Objects": batch, "Quiet": True}
            )
        failed = answer.get("Errors", [])
        if not failed:
            return
        names = {(one["Key"], one.get("VersionId")) for one in failed}
        batch = [one for one in batch if (one["Key"], one.get("VersionId")) in names]
        if any(one.get("Code") not in {"InternalError", "SlowDown"} for one in failed):
            break
    first = failed[0]
    raise AccountError(
        f"deleting s3://{bucket.name}/{first['Key']} failed: {first.get('Message') or 'no reason'} "
        f"({first.get('Code')}); {len(failed)} objects are left. Deleting needs s3:DeleteObject, "
        "and s3:DeleteObjectVersion in a bucket with versions; objects under a lock stay until it "
        "ends. Mend that, and delete again."
    )
