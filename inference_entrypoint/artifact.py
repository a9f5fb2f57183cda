"""The files of an avatar's folder, held against its manifest before one of them is used.

Without the ML stack: what only moves files about does not wait for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from lensa.contract import MANIFEST, AvatarManifest
from lensa.errors import ArtifactError, ConfigError

LORA_FILE = "pytorch_lora_weights.safetensors"


def read_manifest(model_dir: Path) -> AvatarManifest:
    """Return the parsed `avatar.json`. Raises ArtifactError."""
    path = model_dir / MANIFEST
    try:
        manifest = AvatarManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{model_dir} holds no avatar: {MANIFEST} is not there.") from None
    except (ConfigError, OSError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None
    if manifest.format != 1:
        raise ArtifactError(
            f"{path} has format {manifest.format}, made by a newer lensa: upgrade this one."
        )
    return manifest


def verify_files(
    model_dir: Path, manifest: AvatarManifest, only: Collection[str] | None = None
) -> None:
    """Hold every file, or those at some paths, against its size and sha256.

    Raises ArtifactError naming the file.
    """
    for record in manifest.files:
        if only is not None and record.path not in only:
            continue
        path = model_dir / record.path
        try:
            size = path.stat().st_size
            if size != record.size:
                raise ArtifactError(
                    f"{record.path} of avatar {manifest.avatar} has {size} bytes instead of "
                    f"{record.size}: it was cut off or replaced. Fetch the avatar again."
                )
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(
                f"{record.path} of avatar {manifest.avatar} cannot be read: {error.strerror}."
            ) from None
        if digest != record.sha256:
            raise ArtifactError(
                f"{record.path} of avatar {manifest.avatar} was altered: its sha256 is not the "
                "one in the manifest. Fetch the avatar again."
            )


def listed(model_dir: Path, manifest: AvatarManifest, path: str) -> Path:
    """Return a file that the manifest vouches for; others are never loaded."""
    if path not in {record.path for record in manifest.files}:
        raise ArtifactError(f"Avatar {manifest.avatar} has no {path} in its manifest.")
    return model_dir / path
