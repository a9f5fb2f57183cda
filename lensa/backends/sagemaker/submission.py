"""A training as it is submitted: what has to lie in the bucket, and the request that names it.

Composing asks nothing of AWS: `--dry-run` prints exactly what `start` sends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensa.backends.base import Subject, TrainingPlan
from lensa.backends.bundle import Bundle
from lensa.backends.sagemaker import keys, subjects
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.images import training_image
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.backends.sagemaker.request import Inputs, training_request
from lensa.backends.sagemaker.transfer import Blob
from lensa.contract.class_cache import class_cache_key
from lensa.contract.layout import concept_folder
from lensa.costs import price
from lensa.errors import ConfigError
from lensa.photos.photoset import PhotoSet

_LEAST_SECONDS = 600  # starting, loading and exporting alone take about half of it


@dataclass(frozen=True)
class Submission:
    """One training job, ready to be sent."""

    job: str
    blobs: tuple[Blob, ...]  # in the bucket before the job
    request: dict[str, Any]  # of CreateTrainingJob


@dataclass(frozen=True)
class Place:
    """What the account adds to a plan."""

    bucket: Bucket
    region: str
    role: str
    hourly: float | None  # dollars of the instance type


@dataclass(frozen=True)
class Supplies:
    """What the bucket has for the job, or will have: keys below its prefix."""

    bundle: Bundle
    wheels: tuple[Path, ...] = ()  # for a container that reaches no index
    base: str | None = None
    class_caches: frozenset[int] = frozenset()  # concepts whose class images are there already


def needs_wheels(options: SagemakerOptions) -> bool:
    """Whether the container may reach no package index: requirements then travel with the code."""
    return options.network_isolation or bool(options.subnets)


def check_reach(plan: TrainingPlan, options: SagemakerOptions, base: str | None) -> None:
    """Raise ConfigError for a base model or a VAE that the job could not reach."""
    ref, vae = plan.config.base, plan.config.vae
    if vae is not None and (vae.source == "folder" or options.network_isolation):
        why = "is a folder of this machine" if vae.source == "folder" else "is on the hub"
        raise ConfigError(
            f"sagemaker: the VAE {vae} {why}, which the job cannot reach. Put it into the base "
            "instead: a diffusers folder of the base with this VAE as its vae/ travels whole."
        )
    if options.network_isolation and base is None and ref.source == "hub":
        # By the name that the job goes by: a registered base is not found under its hub id.
        pinned = f"@{ref.revision}" if ref.revision and ref.name == ref.location else ""
        raise ConfigError(
            f"sagemaker: network_isolation is on, and the bucket is not known to have a copy of "
            f"the base model {ref.name!r}: bring one there with: lensa mirror {ref.name}{pinned}"
        )


def max_seconds(options: SagemakerOptions, hourly: float | None) -> int:
    """Return the runtime that SageMaker is to allow: `max_hours`, or less if the budget is.

    Raises ConfigError for a budget that pays for nothing, or for a machine without a known price.
    """
    seconds = options.max_hours * 3600
    if options.budget is None:
        return max(1, round(seconds))
    if hourly is None:
        raise ConfigError(
            f"sagemaker: a budget needs the price of {options.instance_type}, and it is not known. "
            "AWS is asked for it, which takes the permission pricing:GetProducts; the table, which "
            "is all that a dry run has, is of us-east-1 alone. Set max_hours instead."
        )
    paid = options.budget / hourly * 3600
    if paid < _LEAST_SECONDS:
        raise ConfigError(
            f"sagemaker: a budget of ${options.budget:.2f} pays for {paid / 60:.0f} minutes of "
            f"{options.instance_type} (${hourly} an hour), and nothing can be trained in less than "
            f"{_LEAST_SECONDS // 60}: ${price(_LEAST_SECONDS, hourly):.2f} is the least."
        )
    return round(min(seconds, paid))


def cache_keys(plan: TrainingPlan, supplies_base: str | None) -> dict[int, str]:
    """Return the keys of the class images that this plan needs, by the concept's number."""
    config = plan.config
    concepts = enumerate(plan.every_concept, start=1)
    own = [number for number, concept in concepts if concept.class_photos is not None]
    revision = supplies_base.rpartition("/")[2] if supplies_base else config.base.revision
    return {
        number: keys.class_images(class_cache_key(config.alone(number), revision))
        for number in config.drawn_classes(own)
    }


def compose(
    plan: TrainingPlan,
    subject: Subject,
    options: SagemakerOptions,
    place: Place,
    supplies: Supplies,
    attempt: int = 1,
) -> Submission:
    """Put everything together. Raises ConfigError for what does not fit."""
    job = keys.attempt(plan.name, attempt)
    config, bucket = plan.config, place.bucket
    check_reach(plan, options, supplies.base)
    code = keys.code(supplies.bundle.digest, wheels=needs_wheels(options))
    blobs = [
        subjects.blob(subject),
        Blob(f"{code}/lensa.pyz", supplies.bundle.data),
        *(Blob(f"{code}/wheels/{wheel.name}", wheel) for wheel in supplies.wheels),
        Blob(keys.config(job), config.model_dump_json(indent=2).encode()),
        *_photos(
            [concept.photos for concept in plan.every_concept],
            keys.photos(subject.id),
            keys.photo_list(job),
            bucket,
        ),
    ]
    class_photos = [concept.class_photos for concept in plan.every_concept]
    if any(class_photos):
        folder, listed = keys.class_photos(subject.id), keys.class_photo_list(job)
        blobs += _photos(class_photos, folder, listed, bucket)
    inputs = Inputs(
        code=code,
        base=supplies.base,
        class_photos=any(class_photos),
        class_caches=cache_keys(plan, supplies.base),
        class_caches_there=supplies.class_caches,
        consent=plan.consent,
        hourly=place.hourly,
    )
    request = training_request(
        job,
        config,
        options,
        inputs,
        image=options.image or training_image(place.region),
        role=place.role,
        uri=bucket.uri,
        max_seconds=max_seconds(options, place.hourly),
        kms_key=bucket.kms_key,
    )
    return Submission(job, tuple(blobs), request)


def _photos(
    concepts: Sequence[PhotoSet | None], folder: str, listed: str, bucket: Bucket
) -> list[Blob]:
    """The photos of each concept, and the list of exactly them: their folder may hold those of
    other trainings. What stands behind the folder's address is their path in the container."""
    files = {
        f"{concept_folder(number)}/{name}".lstrip("/"): content
        for number, photos in enumerate(concepts, start=1)
        if photos is not None
        for photo in photos.photos
        for name, content in photo.files.items()
    }
    content = json.dumps([{"prefix": bucket.uri(f"{folder}/")}, *files]).encode()
    blobs = [Blob(f"{folder}/{name}", content) for name, content in files.items()]
    return [*blobs, Blob(listed, content)]
