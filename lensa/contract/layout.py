"""Where things lie in a container: `/opt/ml`, or `$SAGEMAKER_BASE_DIR` in its place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders of SageMaker's training and serving containers under one root."""

    root: Path

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Layout:
        """Return the layout of the container that this process runs in."""
        return cls(Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    def channel(self, name: str) -> Path:
        return self.root / "input" / "data" / name

    @property
    def config(self) -> Path:
        return self.channel("config") / "training.json"

    @property
    def photos(self) -> Path:
        return self.channel("photos")

    @property
    def class_images(self) -> Path:
        """The user's own class images, if the channel is there."""
        return self.channel("class_images")

    def photos_of(self, number: int) -> Path:
        """The photos of concept 1, the subject, and of those beside it: 2, 3, ..."""
        return self.photos / concept_folder(number)

    def class_images_of(self, number: int) -> Path:
        """The user's own class images of a concept."""
        return self.class_images / concept_folder(number)

    @property
    def base(self) -> Path:
        """A copy of the base model, if the channel is there."""
        return self.channel("base")

    @property
    def class_cache(self) -> Path:
        """Class images that another job drew, if the channel is there."""
        return self.channel("class_cache")

    def class_cache_of(self, number: int) -> Path:
        """The same, of a concept beside the subject."""
        return self.channel(class_cache_channel(number))

    @property
    def checkpoints(self) -> Path:
        """Synced to S3 all along; a restarted job finds it again."""
        return self.root / "checkpoints"

    @property
    def validation(self) -> Path:
        """Validation images, where a client can see them while the job runs."""
        return self.checkpoints / "validation"

    @property
    def gallery(self) -> Path:
        """Images of the gallery that are drawn already: what interrupts costs none of them."""
        return self.checkpoints / "gallery"

    @property
    def model(self) -> Path:
        """What is kept when the job is done; read-only while serving."""
        return self.root / "model"

    @property
    def output(self) -> Path:
        return self.root / "output" / "data"

    @property
    def failure(self) -> Path:
        """Its first 1,024 characters become the job's FailureReason."""
        return self.root / "output" / "failure"


def concept_folder(number: int) -> str:
    """Return the folder of a concept in those of photos and class images; the subject, number 1,
    has none: its files lie in them."""
    return "" if number == 1 else f"concept-{number}"


def class_cache_channel(number: int) -> str:
    return "class_cache" if number == 1 else f"class_cache_{number}"
