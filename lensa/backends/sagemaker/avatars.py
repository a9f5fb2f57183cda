"""A finished avatar's files, brought from the bucket to this machine, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from lensa.backends.disk import make_folder, storage
from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.transfer import Store
from lensa.contract import MANIFEST, AvatarManifest
from lensa.errors import ArtifactError, LensaError


def read_manifest(store: Store, job: str) -> AvatarManifest:
    """Return a finished job's manifest; ArtifactError if it is not there or cannot be read."""
    content = store.read(keys.manifest(job))
    if content is None:
        raise ArtifactError(f"{job} has no {MANIFEST} in the bucket: its avatar is not whole.")
    try:
        return AvatarManifest.model_validate_json(content)
    except LensaError as error:
        raise ArtifactError(f"{job}: {MANIFEST} cannot be read: {error}") from None


def local_folder(store: Store, job: str, home: Path) -> Path:
    """Return the folder below `home` that holds the avatar's files, downloaded if need be.

    Every file is held against its digest in the manifest. Raises ArtifactError, StorageError.
    """
    folder = home / "avatars" / job
    if (folder / MANIFEST).is_file():
        return folder
    manifest = read_manifest(store, job)
    make_folder(folder.parent)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{job}."))
    try:
        store.download(keys.model(job), partial)
        for record in manifest.files:
            _held(partial / record.path, record.sha256, job)
        with storage(folder):
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _held(path: Path, sha256: str, job: str) -> None:
    if not path.is_file():
        raise ArtifactError(f"{job}: {path.name} is in the manifest but not in the bucket.")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ArtifactError(
                f"{job}: {path.name} in the bucket is not the file that the job wrote."
            )
