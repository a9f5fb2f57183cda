"""Class images that other jobs drew: taken from a channel, and left for the next job in S3.

Each image is an object of its own and S3 stores an object whole or not at all: a cache that was
left half-way is a smaller cache.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from lensa.contract.environment import CLASS_CACHE, KMS_KEY, class_cache_variable
from training_entrypoint.images import DAMAGED
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest

_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]+)/(.+?)/?")


def take(channel: Path, files: list[Path], size: int, report: Report) -> int:
    """Copy what the channel has of `files`; return how many there were.

    A file that is no image of `size` pixels squared is passed over, and drawn like a missing one.
    """
    taken, damaged = 0, []
    for file in files:
        source = channel / file.name
        if file.exists() or not source.is_file():
            continue
        if not whole(source, size):
            damaged.append(source.name)
            continue
        partial = file.with_suffix(".partial")
        shutil.copyfile(source, partial)
        partial.rename(file)
        taken += 1
    if damaged:
        report.notice(
            f"{len(damaged)} class images of the cache cannot be used ({damaged[0]} first): "
            "they are drawn again."
        )
    return taken


def leave(
    files: list[Path],
    report: Report,
    stop: StopRequest,
    environ: Mapping[str, str] = os.environ,
    number: int = 1,
) -> None:
    """Upload images of concept `number` to its $LENSA_CLASS_CACHE. What goes wrong is said, and is
    no reason to fail."""
    place = environ.get(class_cache_variable(number))
    if not place or not files:
        return
    try:
        match = _PLACE.fullmatch(place)
        if match is None:
            raise ValueError(f"{CLASS_CACHE} is {place!r}, not s3://bucket/prefix")
        _upload(files, match[1], match[2], stop, environ)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        report.notice(
            f"the class images could not be kept for later jobs: {reason[:300].rstrip('.')}. "
            "This job goes on with them."
        )


def _upload(
    files: list[Path], bucket: str, prefix: str, stop: StopRequest, environ: Mapping[str, str]
) -> None:
    import boto3  # late: a local training does without
    from botocore.config import Config

    # An unreachable S3 must not hold up the training for minutes.
    patience = Config(
        connect_timeout=5, read_timeout=20, retries={"max_attempts": 3, "mode": "standard"}
    )
    # arn:aws:sagemaker:REGION:ACCOUNT:training-job/...: boto3 reads no AWS_REGION.
    where = (environ.get("TRAINING_JOB_ARN", "") + ":" * 5).split(":")
    region, account = where[3] or environ.get("AWS_REGION"), where[4]
    options = {"ExpectedBucketOwner": account} if account else {}
    if key := environ.get(KMS_KEY):
        options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    client = boto3.client("s3", region_name=region, config=patience)
    for file in files:
        stop.check()
        client.put_object(
            Bucket=bucket,
            Key=f"{prefix}/{file.name}",
            Body=file.read_bytes(),
            ContentType="image/png",
            **options,
        )


def whole(path: Path, size: int) -> bool:
    """Whether a file is an image of `size` x `size` px, to its last byte."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.size == (size, size)
    except DAMAGED:
        return False
