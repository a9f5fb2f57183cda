"""Avatars that were added to an endpoint after it was deployed: fetched when they are asked for.

They lie in S3, each in a folder of its id, `avatar.json` written last. Here they are kept on disk,
whole or not at all, the least recently used one dropped. What changes there is noticed half a
minute later, when that avatar is asked for; whoever was removed is also looked for, a few copies at
a time. When S3 does not answer, what is here goes on being drawn. Fetching a LoRA takes a moment,
in which nothing is.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import tempfile
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from inference_entrypoint.artifact import LORA_FILE, listed, read_manifest, verify_files
from inference_entrypoint.shelf_bucket import Bucket, Missing, ShelfBusy, ShelfError, Unchanged
from inference_entrypoint.statuses import Busy
from lensa.contract import MANIFEST, AvatarManifest
from lensa.contract.environment import AVATARS
from lensa.contract.names import JOB
from lensa.errors import ArtifactError, LensaError, NotFoundError

FRESH = 30.0  # seconds for which a copy is taken for what lies in S3
ROUND = 5  # copies that are compared with S3 at a time, for nobody asked for them
AGAIN = 5.0  # seconds for which what was refused is refused without asking S3
SILENCE = 20.0  # seconds for which S3 is left alone if it did not answer: each try holds drawing up
MOST = 500  # avatars on disk
MOST_BYTES = 8_000_000_000  # and no more than half of what is free
_MANIFEST_BYTES = 1_000_000
_REMEMBERED = 1000  # refusals
_PREFIX = "lensa-shelf-"

log = logging.getLogger("lensa.server")

Check = Callable[[AvatarManifest], None]


@dataclass
class _Copy:
    folder: Path  # named by its content: another folder is another version
    etag: str
    size: int  # bytes
    asked: float  # when S3 last said that it is still so
    looked: float = float("-inf")  # when a round last came by, whatever S3 said


@dataclass(frozen=True)
class _Refusal:
    error: LensaError
    until: float


class Shelf:
    """The avatars below a prefix of S3. One thread at a time may use it."""

    def __init__(
        self,
        bucket: Bucket,
        *,
        most: int = MOST,
        most_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most`, `most_bytes`: what is kept on disk, in a temporary folder of its own."""
        self._bucket, self._most, self._clock = bucket, most, clock
        _sweep(Path(tempfile.gettempdir()))
        self._root = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        free = shutil.disk_usage(self._root).free
        self._most_bytes = min(MOST_BYTES, free // 2) if most_bytes is None else most_bytes
        self._copies: OrderedDict[str, _Copy] = OrderedDict()  # the least recently used one first
        self._refusals: OrderedDict[str, _Refusal] = OrderedDict()
        self._silent_until = float("-inf")  # S3 did not answer

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Shelf | None:
        """Return the shelf of this container, if it has one. Raises LensaError."""
        address = environ.get(AVATARS)
        return cls(Bucket.at(address, environ)) if address else None

    def names(self) -> list[str]:
        """Return the ids of those that are on disk, the least recently used one first."""
        return list(self._copies)

    def fetch(self, name: str, check: Check = lambda manifest: None) -> Path:
        """Return the folder of an avatar, which is another one for other content.

        `check` sees its manifest before its weights are downloaded. Raises what that raises,
        NotFoundError, ArtifactError if it is not whole, ShelfError, ShelfBusy.
        """
        if not JOB.fullmatch(name):  # before it becomes part of a key or of a path
            raise _unknown(name)
        now = self._clock()
        if (refusal := self._refusals.get(name)) and now < refusal.until:
            raise refusal.error.with_traceback(None)
        copy = self._copies.get(name)
        if copy is None or now - copy.asked >= FRESH:
            try:
                if now < self._silent_until:
                    raise ShelfBusy("S3 did not answer a moment ago")
                copy = self._ask(name, copy, check)
            except Busy as busy:
                if now >= self._silent_until:
                    self._silent_until = self._clock() + SILENCE
                    log.warning("%s: %s", name, busy)
                if copy is None:
                    raise
            except LensaError as error:
                if not isinstance(error, ShelfError):  # that says nothing about the avatar
                    self.drop(name)
                self._remember(name, error)
                raise
        self._copies.move_to_end(name)
        return copy.folder

    def look_round(self) -> None:
        """Drop copies of what was removed or replaced, though nobody asks for it.

        At most `ROUND` that S3 was not asked about for `FRESH` seconds, the longest first. What S3
        does not answer is left as it is.
        """
        now = self._clock()
        if now < self._silent_until:
            return
        seen = {name: max(copy.asked, copy.looked) for name, copy in self._copies.items()}
        stale = [name for name in seen if now - seen[name] >= FRESH]
        for name in sorted(stale, key=seen.__getitem__)[:ROUND]:
            copy = self._copies[name]
            copy.looked = now
            try:
                self._bucket.read(f"{name}/{MANIFEST}", _MANIFEST_BYTES, copy.etag)
            except Unchanged:
                copy.asked = self._clock()
            except ShelfBusy as busy:
                self._silent_until = self._clock() + SILENCE
                log.warning("%s: %s", name, busy)
                return
            except ShelfError as error:
                log.warning("%s: %s", name, error)
            except (Missing, ArtifactError):
                log.info("avatar %s was removed", name)
                self.drop(name)
            else:
                log.info("avatar %s was replaced", name)
                self.drop(name)

    def drop(self, name: str) -> None:
        """Delete the copy of an avatar; of no effect if there is none."""
        if copy := self._copies.pop(name, None):
            shutil.rmtree(copy.folder, ignore_errors=True)

    def _ask(self, name: str, copy: _Copy | None, check: Check) -> _Copy:
        """Return the copy of an avatar as it lies in S3 now."""
        path, known = f"{name}/{MANIFEST}", copy.etag if copy else None
        try:
            content, etag = self._bucket.read(path, _MANIFEST_BYTES, known)
            version = hashlib.sha256(content).hexdigest()[:16]
            if copy is None or copy.folder.name != version:
                return self._keep(name, version, content, etag, check)
        except Missing:
            raise _unknown(name) from None
        except Unchanged:
            assert copy is not None
            etag = copy.etag
        copy.etag, copy.asked = etag, self._clock()
        return copy

    def _keep(self, name: str, version: str, content: bytes, etag: str, check: Check) -> _Copy:
        """Download an avatar, and put it in the place of the copy that was there."""
        final = self._root / name / version
        try:
            with tempfile.TemporaryDirectory(prefix=".", dir=self._root) as folder:
                partial = Path(folder) / "avatar"
                partial.mkdir()
                (partial / MANIFEST).write_bytes(content)
                manifest = read_manifest(partial)
                if manifest.avatar != name:
                    raise ArtifactError(
                        f"what was added to this endpoint as {name} is {manifest.avatar[:80]!r}: "
                        "add the avatar again."
                    )
                check(manifest)
                listed(partial, manifest, LORA_FILE)
                size = next(each.size for each in manifest.files if each.path == LORA_FILE)
                self._make_room(name, size)
                self._download(name, partial / LORA_FILE, size)
                verify_files(partial, manifest, [LORA_FILE])
                self.drop(name)
                final.parent.mkdir(exist_ok=True)
                partial.rename(final)
        except OSError as error:
            why = "is full" if error.errno == errno.ENOSPC else f"failed: {error.strerror}"
            raise LensaError(f"avatar {name} cannot be kept here: the disk {why}.") from None
        copy = self._copies[name] = _Copy(final, etag, size, self._clock())
        log.info("avatar %s was fetched: %d bytes", name, size)
        return copy

    def _download(self, name: str, file: Path, size: int) -> None:
        try:
            self._bucket.download(f"{name}/{file.name}", file, size)
        except Missing:
            raise ArtifactError(
                f"avatar {name} was added to this endpoint without its {file.name}: add it again."
            ) from None

    def _make_room(self, name: str, size: int) -> None:
        if size > self._most_bytes:
            raise ArtifactError(
                f"avatar {name} has {size:,} bytes, and this endpoint's disk {self._most_bytes:,} "
                "for all of them: use an instance with a larger disk."
            )
        others = [other for other in self._copies if other != name]
        while others and (
            len(others) >= self._most
            or sum(self._copies[other].size for other in others) + size > self._most_bytes
        ):
            self.drop(others.pop(0))

    def _remember(self, name: str, error: LensaError) -> None:
        self._refusals[name] = _Refusal(error, self._clock() + AGAIN)
        self._refusals.move_to_end(name)
        while len(self._refusals) > _REMEMBERED:
            self._refusals.popitem(last=False)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(
        f"No avatar {name[:80]!r} is here: it was neither deployed with this endpoint nor added to "
        "it. Add it: endpoint.add(avatar)."
    )


def _sweep(folder: Path) -> None:
    """Delete what processes left behind that did not come to their end."""
    for left in folder.glob(f"{_PREFIX}*-*"):
        process = left.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdecimal() and not Path("/proc", process).exists() and Path("/proc").is_dir():
            shutil.rmtree(left, ignore_errors=True)
