"""Between S3 and the folders of a container, as SageMaker moves files."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class DownloadError(Exception):
    """An input that is not there; its text becomes the job's FailureReason."""


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// URI."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def download_channel(
    s3: Any, channel: dict[str, Any], folder: Path, *, role: str, region: str
) -> None:
    """Fetch one channel of InputDataConfig for a job in `region`. Raises DownloadError."""
    source = channel["DataSource"]["S3DataSource"]
    _check_region(s3, split_uri(source["S3Uri"])[0], region)
    folder.mkdir(parents=True, exist_ok=True)
    if source["S3DataType"] == "ManifestFile":
        files = _manifest(s3, source["S3Uri"])
    else:
        bucket, prefix = split_uri(source["S3Uri"])
        files = [(bucket, key, _below(prefix, key)) for key in _keys(s3, bucket, prefix)]
    if not files:
        uri, bucket = source["S3Uri"], split_uri(source["S3Uri"])[0]
        raise DownloadError(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{uri}"'
            " given in input data source. Please ensure that the bucket exists in the selected "
            f'region, that objects exist under that S3 prefix, and that the role "{role}" has '
            f'"s3:ListBucket" permissions on bucket "{bucket}".'
        )
    for bucket, key, relative in files:
        target = folder / relative
        if not target.resolve().is_relative_to(folder.resolve()):
            raise DownloadError(f"ClientError: Data download failed:{relative} leaves the channel")
        _fetch(s3, bucket, key, target)


def restore(s3: Any, uri: str, folder: Path) -> None:
    """Fetch everything under a prefix, if there is anything."""
    bucket, prefix = split_uri(uri)
    prefix = prefix.rstrip("/") + "/" if prefix else ""
    for key in _keys(s3, bucket, prefix):
        _fetch(s3, bucket, key, folder / key.removeprefix(prefix))


def upload_folder(
    s3: Any, folder: Path, uri: str, name: str, *, compress: bool, kms_key: str = ""
) -> str:
    """Send a folder that has files in it to `<uri>/<name>/`, or as one `<uri>/<name>.tar.gz`.

    Returns the URI of what it would be, files or none.
    """
    more = encryption(kms_key)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    target = f"{uri.rstrip('/')}/{name}" + (".tar.gz" if compress else "/")
    bucket, key = split_uri(target)
    if compress and files:
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w:gz") as archive:
                for path in files:
                    archive.add(path, path.relative_to(folder).as_posix())
            file.seek(0)
            s3.put_object(Bucket=bucket, Key=key, Body=file, **more)
    elif not compress:
        for path in files:
            below = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                s3.put_object(Bucket=bucket, Key=key + below, Body=file, **more)
    return target


class FolderSync:
    """Keeps a prefix like a folder: what is new, changed or deleted there is so in S3."""

    def __init__(self, s3: Any, folder: Path, uri: str, kms_key: str = "") -> None:
        self._s3, self._folder = s3, folder
        self._bucket, prefix = split_uri(uri)
        self._prefix = prefix.rstrip("/") + "/" if prefix else ""
        self._encryption = encryption(kms_key)
        self._sent = dict(self._files())

    def sync(self) -> None:
        present = dict(self._files())
        for path in self._sent.keys() - present.keys():
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(path))
            del self._sent[path]
        for path, mark in present.items():
            if self._sent.get(path) == mark:
                continue
            try:
                content = path.read_bytes()
            except OSError:
                continue  # renamed or deleted meanwhile: the next round sees what became of it
            self._s3.put_object(
                Bucket=self._bucket, Key=self._key(path), Body=content, **self._encryption
            )
            self._sent[path] = mark

    def _key(self, path: Path) -> str:
        return self._prefix + path.relative_to(self._folder).as_posix()

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        # os.walk passes over folders that are renamed under its feet; rglob does not.
        for folder, _, names in os.walk(self._folder):
            for path in (Path(folder) / name for name in sorted(names)):
                try:
                    facts = path.stat()
                except OSError:
                    continue
                yield path, (facts.st_mtime_ns, facts.st_size)


def _check_region(s3: Any, bucket: str, region: str) -> None:
    try:
        there = s3.head_bucket(Bucket=bucket)["BucketRegion"]
    except s3.exceptions.ClientError:
        return  # what is wrong with it is said when it is read
    if there != region:
        raise DownloadError(
            f"ClientError: Data download failed:PermanentRedirect (301): The bucket is in this "
            f"region: {there}. Please use this region to retry the request"
        )


def encryption(kms_key: str) -> dict[str, str]:
    """Return the parameters of PutObject that encrypt with a key, if there is one."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}


def _keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    try:
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    except s3.exceptions.ClientError as problem:
        raise DownloadError(_failed(problem, f"s3://{bucket}/{prefix}")) from None
    return [key for key in keys if not key.endswith("/")]  # folders as consoles make them


def _below(prefix: str, key: str) -> str:
    """Where a key of a prefix lies in its channel: s3://b/a/pre has a/pre/x at x, a/prefix at
    prefix."""
    folder = prefix.rstrip("/") + "/" if prefix else ""
    if key.startswith(folder):
        return key.removeprefix(folder)
    return key[prefix.rfind("/") + 1 :]


def _manifest(s3: Any, uri: str) -> list[tuple[str, str, str]]:
    bucket, key = split_uri(uri)
    try:
        entries = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        prefix = entries[0]["prefix"]
        names = [name for name in entries[1:] if isinstance(name, str)]
        valid = len(names) == len(entries) - 1 and prefix.startswith("s3://")
    except s3.exceptions.ClientError as problem:
        raise DownloadError(_failed(problem, uri)) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        valid = False
    if not valid:
        raise DownloadError(
            f"ClientError: Data download failed:The manifest {uri} is not a JSON array of "
            'one {"prefix": "s3://..."} and names under it.'
        )
    bucket, start = split_uri(prefix)
    return [(bucket, start + name, name) for name in names]


def _fetch(s3: Any, bucket: str, key: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # One plain request: files are small here, and boto3's transfers make threads for each.
        answer = s3.get_object(Bucket=bucket, Key=key)
        with target.open("wb") as file:
            shutil.copyfileobj(answer["Body"], file)
    except s3.exceptions.ClientError as problem:
        raise DownloadError(_failed(problem, f"s3://{bucket}/{key}")) from None


def _failed(problem: Any, uri: str) -> str:
    status = problem.response["ResponseMetadata"]["HTTPStatusCode"]
    code, text = problem.response["Error"]["Code"], problem.response["Error"]["Message"]
    return f"ClientError: Data download failed:{code} ({status}): {text} ({uri})"
