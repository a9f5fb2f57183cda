"""Base models in the bucket: `bases/<name>/<revision>/`, whole once REVISION lies there."""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lensa.backends.local.children import child_environment, entrypoint, require_ml_stack
from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.transfer import Blob, Store
from lensa.contract import BaseModelRef
from lensa.contract.weights import REVISION_FILE, weights_digest
from lensa.errors import BaseModelError

_WANTED = {".json", ".txt", ".safetensors", ".model"}  # what a pipeline is loaded from: no pickles


@dataclass(frozen=True)
class LocalBase:
    """A base model whose files lie on this machine."""

    ref: BaseModelRef
    revision: str
    files: dict[str, Path]  # path below the model's folder -> file

    @property
    def key(self) -> str:
        return keys.base(self.ref, self.revision)

    @property
    def blobs(self) -> list[Blob]:
        return [Blob(f"{self.key}/{name}", path) for name, path in self.files.items()]

    @property
    def seal(self) -> Blob:
        """Uploaded last: a mirror without it is not there."""
        return Blob(f"{self.key}/{REVISION_FILE}", self.revision.encode())


def local_base(ref: BaseModelRef) -> LocalBase | None:
    """Return the files of a base that no container can fetch for itself; None for the others.

    Raises BaseModelError if they are not there.
    """
    if ref.source in {"hub", "generated"}:
        return None
    if ref.source == "package":
        folder, revision = _packaged(ref)
        return LocalBase(ref, revision, _files(folder) | _embedder(ref))
    path = Path(ref.location)
    if not path.exists():
        raise BaseModelError(f"{path}: no such file or folder (base model {ref.name!r}).")
    files = {path.name: path} if path.is_file() else _files(path)
    return LocalBase(ref, ref.revision or weights_digest(path), files)


def fetched_base(ref: BaseModelRef) -> LocalBase:
    """Download a hub model to this machine (gigabytes, once) and return its files.

    Raises BaseModelError, and ConfigError without `lensa[local]`, which can download.
    """
    require_ml_stack(ref)
    child = subprocess.run(
        entrypoint("inference_entrypoint.fetch"),
        input=ref.model_dump_json(),
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(Path("/opt/ml")),
        check=False,
    )
    try:
        answer = json.loads(child.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        answer = {"error": f"{ref.location} could not be fetched; the reason stands above."}
    if "error" in answer:
        raise BaseModelError(answer["error"])
    return LocalBase(ref, answer["revision"], _files(Path(answer["folder"])))


def mirrored(store: Store, ref: BaseModelRef) -> str | None:
    """Return the key of a whole mirror of a base in the bucket, the newest if it names no revision
    of its own; None if there is none."""
    parent = keys.base(ref, "")
    seals = [item for item in store.list(parent) if item.key.endswith(f"/{REVISION_FILE}")]
    if ref.revision:
        seals = [item for item in seals if item.key == f"{parent}{ref.revision}/{REVISION_FILE}"]
    if not seals:
        return None
    return max(seals, key=lambda item: item.modified).key.rpartition("/")[0]


def upload(
    store: Store, base: LocalBase, on_progress: Callable[[int, int], None] | None = None
) -> str:
    """Bring a base into the bucket, unless it is there, and return its key."""
    if not store.exists(base.seal.key):
        store.put(base.blobs, on_progress=on_progress)
        store.put([base.seal])
    return base.key


def _packaged(ref: BaseModelRef) -> tuple[Path, str]:
    try:
        package = importlib.import_module(ref.location)
        return Path(package.base_path()), str(package.REVISION)
    except ImportError:
        name = ref.location.replace("_", "-")
        raise BaseModelError(
            f"base {ref.name!r} comes with the package {name}: pip install {name}"
        ) from None
    except FileNotFoundError as error:
        raise BaseModelError(str(error)) from None


def _embedder(ref: BaseModelRef) -> dict[str, Path]:
    """Return the files by which the job measures its images, in a folder beside the base's own."""
    try:
        folder = Path(importlib.import_module(ref.location).embedder_path())
    except (AttributeError, FileNotFoundError):  # of an older package: the job says so
        return {}
    return {f"embedder/{name}": path for name, path in _files(folder).items()}


def _files(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _WANTED and not path.name.startswith(".")
    }
