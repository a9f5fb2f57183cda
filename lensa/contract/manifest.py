"""`avatar.json`: what an avatar is made of, and the proof that it is whole."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.consent import Consent
from lensa.contract.measures import Choice
from lensa.contract.training import TrainingConfig

MANIFEST = "avatar.json"


class FileRecord(Contract):
    """A file of the avatar, by its path relative to the manifest."""

    title: ClassVar[str] = "file record"

    path: str = Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)*$")
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class AvatarManifest(Contract):
    """A trained avatar. It is written last: an avatar without it is not there."""

    title: ClassVar[str] = MANIFEST

    format: int = 1
    avatar: str  # the id: the job's name
    base_revision: str  # what the base resolved to: a commit, or a digest of the weights
    photo_digests: tuple[str, ...]
    config: TrainingConfig
    precision: str  # what `auto` became
    seed: int
    steps_trained: int
    trained_at: datetime
    versions: dict[str, str]  # library -> version
    sample_prompts: tuple[str, ...]  # those of the images under samples/
    files: tuple[FileRecord, ...]
    token_pieces: tuple[int, ...] = ()  # into how many the base's tokenizer takes each token
    vae_revision: str | None = None  # what config.vae resolved to
    consent: Consent | None = None  # to the upload of the photos; None: they stayed where they were
    choice: Choice | None = None  # None: the last step, and nobody looked at others
