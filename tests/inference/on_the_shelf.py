"""An endpoint's shelf in the twin's S3: avatars put there as a client adds them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from making import make_avatar
from many import id_of, renumber

from inference_entrypoint.library import Library
from inference_entrypoint.shelf import Shelf
from inference_entrypoint.shelf_bucket import Bucket
from lensa.contract import MANIFEST, GenerationRequest
from lensa.testing import SagemakerTwin

PREFIX = "mine/endpoints/lensa-7k2m0000-1f3a9c2e/avatars"


class Time:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def address(twin: SagemakerTwin) -> str:
    return f"s3://{twin.bucket}/{PREFIX}"


def shelf_of(twin: SagemakerTwin, clock: Time, **bounds: int) -> Shelf:
    return Shelf(Bucket.at(address(twin)), clock=clock, **bounds)


def many_avatars(folder: Path, numbers: range, **changes: Any) -> dict[int, Path]:
    """Write avatars by number, each with weights of its own."""
    first = make_avatar(folder / "first", **changes)
    made = {}
    for number in numbers:
        shutil.copytree(first, folder / id_of(number))
        made[number] = renumber(folder / id_of(number), number, **changes)
    return made


def put(twin: SagemakerTwin, avatar: Path, name: str) -> None:
    """Add an avatar, `avatar.json` last."""
    files = [path for path in avatar.iterdir() if path.name != MANIFEST]
    for path in [*files, avatar / MANIFEST]:
        key = f"{PREFIX}/{name}/{path.name}"
        twin.client("s3").put_object(Bucket=twin.bucket, Key=key, Body=path.read_bytes())


def take_away(twin: SagemakerTwin, name: str, *files: str) -> None:
    for file in files or (MANIFEST, "pytorch_lora_weights.safetensors"):
        twin.client("s3").delete_object(Bucket=twin.bucket, Key=f"{PREFIX}/{name}/{file}")


def asked(twin: SagemakerTwin) -> int:
    """Return how many objects were asked for since this was last called."""
    count = len(twin.called("GetObject"))
    twin.calls.clear()
    return count


def request(**fields: Any) -> GenerationRequest:
    return GenerationRequest(prompt="as a pirate", **{"steps": 2, "seed": 5, **fields})


def picture(library: Library, number: int, **fields: Any) -> bytes:
    return library.generate(request(avatar=id_of(number), **fields)).images[0].tobytes()
