"""What becomes /opt/ml/model of an endpoint: our code, and the avatars that it begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.transfer import Blob, Copy
from lensa.contract import MANIFEST, AvatarManifest
from lensa.contract.gallery import FOLDER as GALLERY
from lensa.contract.measures import CHART_FILE, METRICS_FILE, REPORT_FILE, VALIDATION_FOLDER
from lensa.contract.names import digest

CODE = "code"
# What the job drew and wrote to be seen; photos are in the report.
_LOOKED_AT = (
    "samples/",
    f"{GALLERY}/",
    f"{VALIDATION_FOLDER}/",
    METRICS_FILE,
    CHART_FILE,
    REPORT_FILE,
)


@dataclass(frozen=True)
class Served:
    """The model folder of an endpoint, before it lies in the bucket."""

    endpoint: str
    code: Mapping[str, bytes | Path]  # path below code/ -> content
    avatars: tuple[AvatarManifest, ...]

    @cached_property
    def key(self) -> str:
        """Its folder in the bucket. Another content has another one: it never changes."""
        code = {name: _sha256(content) for name, content in self.code.items()}
        told = [code, [_served(avatar).model_dump(mode="json") for avatar in self.avatars]]
        return keys.served(self.endpoint, digest(told)[:16])

    @property
    def blobs(self) -> list[Blob]:
        return [Blob(f"{self.key}/{CODE}/{name}", content) for name, content in self.code.items()]

    @property
    def copies(self) -> list[Copy]:
        """The avatars' files, which lie in the bucket already."""
        return [copy for avatar in self.avatars for copy in copies_of(avatar, self.folder(avatar))]

    def folder(self, avatar: AvatarManifest) -> str:
        """Return the key of an avatar's folder: full weights, alone there, have none."""
        return f"{self.key}/{avatar.avatar}" if avatar.config.method == "lora" else self.key


def copies_of(avatar: AvatarManifest, target: str) -> list[Copy]:
    """Return the copies of an avatar's files into a folder, without its manifest.

    What is to be seen stays behind: no server reads it.
    """
    return [
        Copy(f"{keys.model(avatar.avatar)}/{file.path}", f"{target}/{file.path}", file.size)
        for file in avatar.files
        if not file.path.startswith(_LOOKED_AT)
    ]


def manifest_blob(avatar: AvatarManifest, target: str) -> Blob:
    """Return an avatar's manifest for a folder. It is written last: then the avatar is there."""
    return Blob(f"{target}/{MANIFEST}", _served(avatar).model_dump_json(indent=2).encode())


def _served(avatar: AvatarManifest) -> AvatarManifest:
    """Return the manifest that is served. A server of full weights holds every file that is listed
    against it; one of LoRAs looks at the weights alone, and their manifests stay as they are."""
    if avatar.config.method == "lora":
        return avatar
    kept = tuple(file for file in avatar.files if not file.path.startswith(_LOOKED_AT))
    return avatar.model_copy(update={"files": kept})


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
