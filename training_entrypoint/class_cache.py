"""Class images that other jobs drew: taken from a channel and left for the next job in S3, or
taken from and left in a folder of this machine.

Each image is an object of its own and S3 stores an object whole or not at all, as a folder does a
file that is renamed: a cache that was left half-way is a smaller cache.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from lensa.contract import TrainingConfig
from lensa.contract.class_cache import class_cache_key
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


def folder_here(
    config: TrainingConfig, revision: str, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """Return the folder in which this machine keeps images of this very kind, if it keeps any.

    `revision` is of all that they are drawn with: the base, and the VAE in its place.
    """
    place = Path(environ.get(CLASS_CACHE, ""))
    return place / class_cache_key(config, revision) if place.is_absolute() else None


def keep(files: list[Path], folder: Path, size: int, report: Report) -> None:
    """Copy images into a folder, which others may fill at the same time. What goes wrong is said,
    and is no reason to fail."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            if not whole(folder / file.name, size):
                partial = folder / f".{file.name}.{os.getpid()}"
                shutil.copyfile(file, partial)
                partial.replace(folder / file.name)
    except OSError as error:
        report.notice(f"the class images could not be kept for later trainings: {error}.")


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
