"""The SageMaker backend: one training job in the user's AWS account, followed from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lensa.backends.base import JobInfo, Subject, TrainingPlan
from lensa.backends.bundle import build_bundle
from lensa.backends.disk import make_folder, write_whole
from lensa.backends.sagemaker import instances, keys, mirror, preflight, prices, subjects
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.avatars import local_folder, read_manifest
from lensa.backends.sagemaker.bucket import Bucket, default_name
from lensa.backends.sagemaker.catalogue import Catalogue
from lensa.backends.sagemaker.downloading import target_of
from lensa.backends.sagemaker.endpoints import Endpoints
from lensa.backends.sagemaker.follow import Follower, Pause
from lensa.backends.sagemaker.images import training_image
from lensa.backends.sagemaker.logs import LogReader
from lensa.backends.sagemaker.options import SagemakerOptions, over
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.state import JobState
from lensa.backends.sagemaker.submission import (
    Place,
    Submission,
    Supplies,
    compose,
    max_seconds,
)
from lensa.backends.sagemaker.supplying import gather, pinned
from lensa.backends.sagemaker.transfer import Store
from lensa.contract import AvatarManifest, BaseModelRef, TrainingConfig
from lensa.contract.events import Event, NoticeEvent, ProgressEvent, StageEvent
from lensa.costs import Forecast, forecast
from lensa.errors import ArtifactError, ConfigError
from lensa.settings import Settings

OnEvent = Callable[[Event], None]


class SagemakerBackend(Endpoints):
    """Trains in the account that the credentials belong to. It keeps no state of its own."""

    name = "sagemaker"
    option_names = frozenset(SagemakerOptions.model_fields)

    def __init__(self, settings: Settings, options: dict[str, Any] | None = None) -> None:
        self.home = settings.home_path
        self.options = over(SagemakerOptions, settings.sagemaker, options or {})
        self.account = Account(region=settings.region, profile=settings.profile)
        self._settings = settings
        self._quotes: dict[str, prices.Price | None] = {}

    @property
    def flags(self) -> str:
        given = {
            "backend": self.name,
            "region": self.account.region,
            "profile": self._settings.profile,
            "bucket": self._settings.bucket,
        }
        return "".join(f" --{name} {value}" for name, value in given.items() if value)

    def with_options(self, **options: Any) -> SagemakerBackend:
        """Return the backend with options changed; ConfigError for what they cannot be."""
        changed = SagemakerBackend(self._settings, {**self.options.model_dump(), **options})
        changed._quotes = self._quotes  # the same account: a price is asked for once
        return changed

    @cached_property
    def bucket(self) -> Bucket:
        name = self._settings.bucket or default_name(self.account)
        return Bucket(self.account, name, self._settings.prefix, self._settings.kms_key)

    @cached_property
    def store(self) -> Store:
        return Store(self.bucket)

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.account, self.store, self.home)

    # --- training ---

    def recipe(self) -> dict[str, Any]:
        return instances.recipe(self.options.instance_type)

    def subject(self, name: str) -> Subject:
        self._ready_bucket()
        return subjects.subject_of(self.home, self.store, name)

    def claim(self, subject: Subject) -> AbstractContextManager[object]:
        return nullcontext()  # AWS refuses a second job of the same name; others may run beside it

    def destination(self) -> tuple[str, str] | None:
        if self.options.create_bucket:
            expiry = f"after {self.options.photo_days} days, by the bucket's lifecycle rule"
        else:
            expiry = "when the bucket's lifecycle rules say so (30 days in one that lensa made)"
        return self.bucket.uri("photos/"), expiry

    def check(self, config: TrainingConfig) -> None:
        if self.options.image is None:
            training_image(self.account.region)
        if not instances.has_gpu(self.options.instance_type) and config.precision == "fp16":
            raise ConfigError(
                f"training: precision 'fp16' needs a GPU, and {self.options.instance_type} has "
                "none: use 'auto'."
            )

    def preflight(self, config: TrainingConfig) -> None:
        known, options = self._settings, self.options
        found = preflight.before_training(
            self.account, self.bucket, known, options, config.base, config.vae
        )
        preflight.require(found)

    def start(self, plan: TrainingPlan, on_event: OnEvent | None = None) -> str:
        place = self._place()
        seconds = max_seconds(self.options, place.hourly)
        plan = pinned(plan)
        latest = self.catalogue.latest_attempt(plan.name)
        if latest is not None and not self._wants_another(latest, plan.config.steps, seconds):
            return latest.name
        number = 1 if latest is None else keys.attempt_of(latest.name) + 1
        progress = _progress(on_event)
        for note in (self._estimate(plan.config), *self.bucket.notes()):
            if on_event is not None:
                on_event(NoticeEvent(message=note))
        supplies = gather(self.store, self.home, plan, self.options, progress)
        subject = subjects.find(self.home, self.store, plan.config.subject_id)
        submission = compose(plan, subject, self.options, place, supplies, number)
        self.store.put(submission.blobs, on_progress=progress)
        if on_event is not None:  # who lets go of it now, has no job
            on_event(StageEvent(stage="submitting", message=submission.job))
        self._submit(submission)
        return submission.job

    def _wants_another(self, latest: JobState, steps: int, seconds: int) -> bool:
        """Whether the same call starts a new attempt: not beside a running one, and after a
        finished one only if its avatar is gone, or was cut short and there is more time now."""
        if latest.status == "running":
            return False
        if latest.status != "completed":
            return True
        try:
            manifest = read_manifest(self.store, latest.name)
        except ArtifactError:
            return True
        if manifest.choice is not None and manifest.choice.stopped:
            return False  # it was not the time that ended it
        return manifest.steps_trained < steps and seconds > latest.max_seconds

    def _submit(self, submission: Submission) -> None:
        client = self.account.client("sagemaker")
        quicker = client.exceptions.ResourceInUse  # the same call from elsewhere: the same job
        with explained("starting the training job"), suppress(quicker):
            client.create_training_job(**submission.request)

    def _place(self) -> Place:
        return Place(
            bucket=self.bucket,
            region=self.account.region,
            role=self.account.role(self._settings.role),
            hourly=self.hourly(self.options.instance_type),
        )

    def _ready_bucket(self) -> None:
        if self.options.create_bucket:
            self.bucket.create(photo_days=self.options.photo_days)
        self.bucket.check()

    def mirror(self, base: BaseModelRef, on_event: OnEvent | None = None) -> str:
        """Bring a base model into the bucket, unless it is there, and return its address."""
        self._ready_bucket()
        if base.source == "generated":
            raise ConfigError(f"{base.name} is made by code: there is nothing to mirror.")
        found = mirror.mirrored(self.store, base) if base.revision else None
        if found is None:
            local = mirror.local_base(base) or mirror.fetched_base(base)
            found = mirror.upload(self.store, local, _progress(on_event))
        return self.bucket.uri(found)

    def dry_run(self, plan: TrainingPlan) -> dict[str, Any]:
        """Return operation -> exact parameters of a first attempt, asking nothing of AWS.

        What only AWS knows is taken as it is for a new account: no class images and no copies of
        hub models in the bucket yet. Raises ConfigError for what then cannot be known.
        """
        settings = self._settings
        if settings.role is None or not settings.role.startswith("arn:"):
            raise ConfigError(
                "a dry run asks nothing of AWS, so it needs the role's whole ARN: --role, or "
                "LENSA_ROLE."
            )
        region = self.account.region
        name = settings.bucket or f"lensa-{settings.role.split(':')[4]}-{region}"
        bucket = Bucket(self.account, name, settings.prefix, settings.kms_key)
        plan = pinned(plan)
        local = mirror.local_base(plan.config.base)
        place = Place(bucket, region, settings.role, self._listed(self.options.instance_type))
        supplies = Supplies(build_bundle(), base=local.key if local else None)
        subject = Subject(plan.config.subject_id, plan.config.subject_id)
        return {"CreateTrainingJob": compose(plan, subject, self.options, place, supplies).request}

    def forecast(self, config: TrainingConfig, *, ask: bool = False) -> Forecast:
        """Return time and price of a training: by the price table alone, or `ask`, as a training
        does that starts. Raises ConfigError for a budget without a price."""
        kind = self.options.instance_type
        quote = self.quote(kind) if ask else None
        hourly = quote.dollars if quote else self._listed(kind)
        expected = forecast(config, kind, hourly, self.longest_seconds(hourly))
        return replace(expected, source=quote.source if quote else "")

    def _listed(self, instance_type: str) -> float | None:
        return prices.listed(instance_type, self.account.region)

    def _estimate(self, config: TrainingConfig) -> str:
        estimate = self.forecast(config, ask=True)
        return estimate.words(estimate.source)

    def longest_seconds(self, hourly: float | None) -> int:
        """How long a training's machine may be paid for, at most."""
        return max_seconds(self.options, hourly) + self.options.warm_pool_minutes * 60

    def hourly(self, instance_type: str) -> float | None:
        quote = self.quote(instance_type)
        return quote.dollars if quote else None

    def quote(self, instance_type: str) -> prices.Price | None:
        """Return the price of an hour of training, asked for once."""
        if instance_type not in self._quotes:
            self._quotes[instance_type] = prices.quote(self.account, instance_type)
        return self._quotes[instance_type]

    # --- following ---

    def job(self, name: str) -> JobInfo:
        return self.catalogue.info(name)

    def jobs(self) -> list[JobInfo]:
        return self.catalogue.infos()

    def log(self, name: str, *, follow: bool, whole: bool = True) -> Iterator[str]:
        self.catalogue.state(name)  # NotFoundError now, not at the first line
        if follow:
            return self._follower(name).lines()
        return iter(LogReader(self.account, name).new())

    def events(self, name: str) -> Iterator[Event]:
        return self._follower(name).events(
            hourly=self.hourly, fetch=lambda images: self._fetch(name, images)
        )

    def _follower(self, name: str) -> Follower:
        return Follower(
            state=lambda: self.catalogue.state(name),
            read=LogReader(self.account, name).new,
            pause=Pause(self._settings.poll_seconds),
        )

    def _fetch(self, job: str, images: list[str]) -> list[Path] | None:
        """Bring validation images to this machine; None if one is not in the bucket yet."""
        contents = [self.store.read(f"{keys.checkpoints(job)}/{image}") for image in images]
        paths: list[Path] = []
        for image, content in zip(images, contents, strict=True):
            if content is None:
                return None
            key = f"{keys.checkpoints(job)}/{image}"
            path = target_of(self.home / "following" / job, image, self.bucket.uri(key))
            write_whole(make_folder(path.parent) / path.name, content)
            paths.append(path)
        return paths

    def stop(self, name: str) -> None:
        client = self.account.client("sagemaker")
        if self.catalogue.state(name).ended:
            return
        with explained("stopping the training job"):
            try:
                client.stop_training_job(TrainingJobName=name)
            except client.exceptions.ClientError:
                if not self.catalogue.state(name).ended:  # it ended by itself just then
                    raise
        for _ in self._follower(name).polls():
            pass

    def sdk(self, name: str) -> Any:
        from lensa.backends.sagemaker.sdk import training_job

        return training_job(self.account, name)

    # --- avatars ---

    def manifest(self, avatar: str) -> AvatarManifest:
        return read_manifest(self.store, self.catalogue.finished(avatar))

    def folder(self, avatar: str) -> Path:
        return local_folder(self.store, self.catalogue.finished(avatar), self.home)

    def file(self, avatar: str, path: str) -> bytes:
        content = self.store.read(f"{keys.model(avatar)}/{path}")
        if content is None:
            raise ArtifactError(f"{avatar}: {path} is in the manifest but not in the bucket.")
        return content


def _progress(on_event: OnEvent | None) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if on_event is not None:
            on_event(ProgressEvent(stage="uploading", step=done, of=total))

    return tell
