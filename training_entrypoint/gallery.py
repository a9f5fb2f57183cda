"""The gallery: images that the job draws with the finished avatar, so that they need no endpoint.

They come last and are worth less than the avatar: what cannot be drawn, or not in time, is said
and left out. Each lies in the checkpoint folder as soon as it is drawn, under a name made of its
request and of the weights: a job that is interrupted goes on with the next one.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from PIL import Image

from inference_entrypoint.avatars import Avatar
from inference_entrypoint.encode import encode, parameters
from lensa.contract import GenerationRequest
from lensa.contract.names import digest
from training_entrypoint.deadline import Deadline
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest


def draw_gallery(
    avatar: Avatar,
    folder: Path,
    kept: Path,
    report: Report,
    stop: StopRequest,
    deadline: Deadline,
) -> None:
    """Draw what `config.gallery` asks for into `gallery/NAME/` below the avatar's `folder`.

    `kept` is where images lie that are drawn already. Raises Stopped as soon as a stop is
    requested.
    """
    items = avatar.manifest.config.gallery
    if not items:
        return
    total, done, in_time = sum(item.count for item in items), 0, True
    failed: dict[str, list[str]] = {}  # why -> names
    unwritten: OSError | None = None
    drawer = _Drawer(avatar, folder, kept, stop, deadline)
    report.stage("gallery", f"{total} images")
    report.start_counting(0)
    for item in items:
        for index in range(item.count if in_time and unwritten is None else 0):
            try:
                file = drawer.file(item.request(index))
                if file is not None:
                    _copy(file, folder / item.path(index))
            except OSError as error:  # a full disk: it would cost each of the others, too
                unwritten = error
                break
            except Exception as error:  # whatever it is, the avatar is worth more
                failed.setdefault(str(error) or type(error).__name__, []).append(item.name)
                break
            in_time = file is not None
            if file is None:
                break
            done += 1
            report.progress(done, total, stage="gallery")
    for warning in drawer.warnings:
        report.notice(f"gallery: {warning}")
    for why, names in failed.items():
        report.notice(f"of the gallery {', '.join(names)} cannot be drawn: {why}")
    if unwritten is not None:
        report.notice(
            f"{done} of {total} images of the gallery are drawn, and the others are left out: "
            f"{unwritten}. lensa generate draws them."
        )
    if not in_time:
        report.notice(
            f"the time that the job may take is nearly over: {done} of {total} images of the "
            "gallery are drawn. lensa generate draws the others."
        )


class _Drawer:
    """Draws what is not drawn yet, while there is time."""

    def __init__(
        self, avatar: Avatar, folder: Path, kept: Path, stop: StopRequest, deadline: Deadline
    ) -> None:
        self.avatar, self.kept, self.stop, self.deadline = avatar, kept, stop, deadline
        self.warnings: dict[str, None] = {}  # each once
        self._weights = [_tensors(path) for path in sorted(folder.rglob("*.safetensors"))]
        # The first image loads the safety checker, too, which is smaller than the base.
        self._next = deadline.took("drawing") + deadline.took("loading")
        self._longest = 0.0

    def file(self, request: GenerationRequest) -> Path | None:
        """Return the file of an image, or None if there is no time left for it."""
        made_of = [self._weights, request.model_dump(mode="json")]
        file = self.kept / f"{digest(made_of)[:32]}.{request.format}"
        self.stop.check()
        if _whole(file):
            return file
        if not self.deadline.leaves(self._next):
            return None
        began = time.monotonic()
        result = self.avatar.generate(request, on_step=self.stop.check)
        text = parameters(result, 0, avatar=self.avatar.name, model=self.avatar.base.ref.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, encode(result.images[0], request.format, text))
        self._longest = max(self._longest, time.monotonic() - began)
        self._next = 2 * self._longest  # twice: the next may take longer
        self.warnings |= dict.fromkeys(result.warnings)
        return file


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, file.read_bytes())


def _write(file: Path, content: bytes) -> None:
    """A file that is there is whole. Raises OSError, and leaves nothing that takes space."""
    partial = file.with_suffix(".partial")
    try:
        partial.write_bytes(content)
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)


def _tensors(path: Path) -> str:
    """Return the sha256 of a safetensors file without its metadata: what is said there of a LoRA
    holds a set, which each process writes in another order."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        header.pop("__metadata__", None)
        sha256 = hashlib.file_digest(file, "sha256")  # from here to the end: the tensors
    sha256.update(json.dumps(header, sort_keys=True).encode())
    return sha256.hexdigest()


def _whole(file: Path) -> bool:
    try:
        with Image.open(file) as image:
            image.load()
    except (OSError, SyntaxError):  # none, or damaged: it is drawn again
        return False
    return True
