"""Downloads in parallel: each file appears whole or not at all."""

from __future__ import annotations

import glob
import os
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from lensa.backends.disk import make_folder, storage
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.listing import objects, within
from lensa.backends.sagemaker.objects import THREADS, Object, Progress, follow
from lensa.backends.sagemaker.patience import broken_off, until
from lensa.backends.sagemaker.refusals import explained
from lensa.errors import ArtifactError, ServiceError

_CHUNK_BYTES = 2**20
_LEFT_SECONDS = 3600
_ATTEMPTS = 5  # of an answer that breaks off


def download(bucket: Bucket, prefix: str, folder: Path, on_progress: Progress | None) -> list[Path]:
    """Fetch everything below a prefix into a folder, and return the files."""
    below = within(prefix)
    found = [one for one in objects(bucket, below) if not one.key.endswith("/")]
    targets = {target_of(folder, one.key[len(below) :], bucket.uri(one.key)): one for one in found}
    total = sum(one.size for one in found)
    happened: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    stop = threading.Event()
    with explained(f"downloading {bucket.uri(prefix)}"):
        pool = ThreadPoolExecutor(THREADS)
        try:
            futures = [
                pool.submit(_fetch, bucket, one, target, happened, stop)
                for target, one in targets.items()
            ]
            for future in futures:
                future.add_done_callback(lambda _: happened.put(None))
            follow(happened, futures, Future.result, total, on_progress)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return sorted(targets)


def target_of(folder: Path, name: str, uri: str) -> Path:
    """Return where an object goes; ArtifactError if its name would lead out of the folder."""
    parts = name.split("/")
    target = folder.joinpath(*parts)
    harmless = not any(
        part in {"", ".", ".."} or "\\" in part or ":" in part or "\0" in part for part in parts
    )
    if not harmless or not target.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(
            f"{uri!r} would be written outside of {folder}. lensa wrote no such object: nothing "
            "was downloaded. Look at who may write to the bucket, and delete it."
        )
    return target


def _fetch(
    bucket: Bucket,
    one: Object,
    target: Path,
    happened: queue.SimpleQueue[int | None],
    stop: threading.Event,
) -> None:
    make_folder(target.parent)
    _clear_away(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with until(stop):
            for attempt in range(1, _ATTEMPTS + 1):
                if _copy(bucket, one, partial, happened, stop, last=attempt == _ATTEMPTS):
                    break
        if not stop.is_set():
            with storage(target):
                partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _clear_away(target: Path) -> None:
    """Remove what killed processes left of a file; a living one writes to its part all the time."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        with suppress(OSError):
            if left.suffix[1:].isdigit() and time.time() - left.lstat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def _copy(
    bucket: Bucket,
    one: Object,
    partial: Path,
    happened: queue.SimpleQueue[int | None],
    stop: threading.Event,
    last: bool,
) -> bool:
    """Fetch an object under a temporary name. False: it broke off, and may be tried again."""
    written = 0
    try:
        body: Any = bucket.client().get_object(Bucket=bucket.name, Key=bucket.key(one.key))["Body"]
        with closing(body), storage(partial.parent), partial.open("wb") as file:
            while not stop.is_set() and (chunk := body.read(_CHUNK_BYTES)):
                file.write(chunk)
                written += len(chunk)
                happened.put(len(chunk))
    except broken_off():
        if last:
            raise
        happened.put(-written)
        return False
    if written != one.size and not stop.is_set():
        raise ServiceError(
            f"{bucket.uri(one.key)} changed while it was downloaded ({written} bytes instead of "
            f"{one.size}). Download it again."
        )
    return True
