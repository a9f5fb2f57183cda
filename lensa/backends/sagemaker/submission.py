"""A training as it is submitted: what has to lie in the bucket, and the request that names it.

Composing asks nothing of AWS: `--dry-run` prints exactly what `start` sends.
"""

from __future__ import annotations

import json
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
from lensa.contract.names import job_name
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
    class_cache: bool = False  # images of this very kind are there already


def training_name(plan: TrainingPlan) -> str:
    """Return the name of a plan's first attempt: the same plan, the same name."""
    digests = list(plan.photos.digests)
    if plan.class_photos is not None:
        digests += plan.class_photos.digests
    return job_name(plan.config.subject_id, digests, plan.config.identity())


def needs_wheels(options: SagemakerOptions) -> bool:
    """Whether the container may reach no package index: requirements then travel with the code."""
    return options.network_isolation or bool(options.subnets)


def check_reach(plan: TrainingPlan, options: SagemakerOptions, base: str | None) -> None:
    """Raise ConfigError if an isolated job would have to ask the hub for its base model."""
    ref = plan.config.base
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
            "The table has us-east-1 alone; elsewhere AWS is asked, which takes the permission "
            "pricing:GetProducts, and which a dry run does not do. Set max_hours instead."
        )
    paid = options.budget / hourly * 3600
    if paid < _LEAST_SECONDS:
        raise ConfigError(
            f"sagemaker: a budget of ${options.budget:.2f} pays for {paid / 60:.0f} minutes of "
            f"{options.instance_type} (${hourly} an hour), and nothing can be trained in less than "
            f"{_LEAST_SECONDS // 60}: ${price(_LEAST_SECONDS, hourly):.2f} is the least."
        )
    return round(min(seconds, paid))


def cache_key(plan: TrainingPlan, supplies_base: str | None) -> str | None:
    """Return the key of the class images that this plan needs; None if it draws none."""
    config = plan.config
    if not config.prior_preservation or plan.class_photos is not None:
        return None
    revision = supplies_base.rpartition("/")[2] if supplies_base else config.base.revision
    return keys.class_images(class_cache_key(config, revision))


def compose(
    plan: TrainingPlan,
    subject: Subject,
    options: SagemakerOptions,
    place: Place,
    supplies: Supplies,
    attempt: int = 1,
) -> Submission:
    """Put everything together. Raises ConfigError for what does not fit."""
    job = keys.attempt(training_name(plan), attempt)
    config, bucket = plan.config, place.bucket
    check_reach(plan, options, supplies.base)
    code = keys.code(supplies.bundle.digest, wheels=needs_wheels(options))
    cache = cache_key(plan, supplies.base)
    blobs = [
        subjects.blob(subject),
        Blob(f"{code}/lensa.pyz", supplies.bundle.data),
        *(Blob(f"{code}/wheels/{wheel.name}", wheel) for wheel in supplies.wheels),
        Blob(keys.config(job), config.model_dump_json(indent=2).encode()),
        *_photos(plan.photos, keys.photos(subject.id), keys.photo_list(job), bucket),
    ]
    if plan.class_photos is not None:
        blobs += _photos(
            plan.class_photos, keys.class_photos(subject.id), keys.class_photo_list(job), bucket
        )
    inputs = Inputs(
        code=code,
        base=supplies.base,
        class_photos=plan.class_photos is not None,
        class_cache_read=cache if supplies.class_cache else None,
        class_cache_write=cache,
        consent=plan.consent,
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


def _photos(photos: PhotoSet, folder: str, listed: str, bucket: Bucket) -> list[Blob]:
    """The photos and the list of exactly them: their folder may hold those of other trainings."""
    names = [f"{photo.sha256}.png" for photo in photos.photos]
    content = json.dumps([{"prefix": bucket.uri(f"{folder}/")}, *names]).encode()
    return [
        *(Blob(f"{folder}/{photo.sha256}.png", photo.png) for photo in photos.photos),
        Blob(listed, content),
    ]
