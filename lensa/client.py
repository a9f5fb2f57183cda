"""The client: from photos to a training job, from a name to an avatar."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, overload

from lensa.avatar import Avatar
from lensa.backends import subjects
from lensa.backends.base import Backend, JobInfo, Subject, TrainingPlan
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.bases import resolve_base
from lensa.contract import Kind, Method, TrainingConfig, preset
from lensa.contract.events import Event, NoticeEvent
from lensa.contract.names import check_subject, new_subject_id
from lensa.costs import Forecast
from lensa.errors import ConfigError, suggest
from lensa.job import TrainingJob
from lensa.settings import Settings, load_settings

_OPTIONS = frozenset(SagemakerOptions.model_fields)  # of the backend, not of the recipe
_KINDS = ("person", "pet", "object")
_METHODS = ("lora", "full")


class Client:
    """Trains avatars and finds them again. Arguments that are not given come from the settings.

    `settings` are any of lensa.settings.Settings: region, profile, role, bucket, ...
    """

    def __init__(
        self, *, backend: str | None = None, home: str | Path | None = None, **settings: Any
    ) -> None:
        self.settings = load_settings(backend=backend, home=home, **settings)
        self.backend = _make_backend(self.settings)

    @overload
    def train(
        self,
        photos: str | Path,
        *,
        subject: str | None = ...,
        kind: Kind = ...,
        base: str | None = ...,
        method: Method = ...,
        class_photos: str | Path | None = ...,
        wait: Literal[True] = ...,
        on_event: Callable[[Event], None] | None = ...,
        **fields: Any,
    ) -> Avatar: ...
    @overload
    def train(
        self,
        photos: str | Path,
        *,
        subject: str | None = ...,
        kind: Kind = ...,
        base: str | None = ...,
        method: Method = ...,
        class_photos: str | Path | None = ...,
        wait: Literal[False],
        on_event: Callable[[Event], None] | None = ...,
        **fields: Any,
    ) -> TrainingJob: ...
    def train(
        self,
        photos: str | Path,
        *,
        subject: str | None = None,
        kind: Kind = "person",
        base: str | None = None,
        method: Method = "lora",
        class_photos: str | Path | None = None,
        wait: bool = True,
        on_event: Callable[[Event], None] | None = None,
        **fields: Any,
    ) -> Avatar | TrainingJob:
        """Train an avatar on a folder of 4 to 20 photos.

        The same call is the same job: it finds the finished avatar, follows the running job, or
        goes on from the last checkpoint of one that was stopped or interrupted.

        Args:
            photos: a folder of photos of one subject.
            subject: a name of your own for it; the folder's name if not given.
            kind: person, pet or object; chooses the recipe.
            base: the base model: a registered name, a hub id, a diffusers folder or a
                `.safetensors` checkpoint; from the settings if not given.
            method: `lora` (megabytes) or `full` (all weights of the UNet).
            class_photos: a folder of your own class images; without it they are generated.
            wait: return the finished avatar (True), or a handle at once (False).
            on_event: called with each event of the job; without it a progress bar is shown.
            fields: any field of TrainingConfig (steps, learning_rate, seed, ...), and with
                backend="sagemaker" any of SagemakerOptions (instance_type, spot, budget, ...).

        Raises:
            UserError: something has to be changed; nothing was started.
            TrainingError: the job failed, or was stopped (TrainingStopped).
        """
        name, backend, plan = self._prepared(
            photos, subject, class_photos, kind=kind, base=base, method=method, **fields
        )
        owner = backend.subject(name)
        plan = plan.of(owner)
        with backend.claim(owner), ExitStack() as showing:
            if on_event is None and wait:
                from lensa.display import training_display

                on_event = showing.enter_context(training_display(plan, name))
            job = TrainingJob(backend.start(plan, on_event), backend)
            if not wait:
                return job
            if on_event is not None:
                on_event(
                    NoticeEvent(
                        message=f"it is {job.name}; from anywhere: lensa logs -f {job.name}"
                    )
                )
            return job.wait(on_event)

    def dry_run(
        self,
        photos: str | Path,
        *,
        subject: str | None = None,
        class_photos: str | Path | None = None,
        **fields: Any,
    ) -> tuple[dict[str, Any], Forecast]:
        """Return what `train` with the same arguments would send to AWS, operation -> exact
        parameters, and its forecast. Nothing is sent or asked, and nothing is written down.

        A subject without an id on this machine gets a made-up one. Raises UserError like `train`.
        """
        name, backend, plan = self._prepared(photos, subject, class_photos, **fields)
        known = subjects.named(self.settings.home_path, name)
        plan = plan.of(known or Subject(name, new_subject_id()))
        return backend.dry_run(plan), backend.forecast(plan.config)

    def _prepared(
        self,
        photos: str | Path,
        subject: str | None,
        class_photos: str | Path | None,
        **fields: Any,
    ) -> tuple[str, Backend, TrainingPlan]:
        """Check everything that this machine can check: the name, the recipe, the photos."""
        name = check_subject(subject if subject is not None else _folder_name(Path(photos)))
        own = {field: fields.pop(field) for field in list(fields) if field in _OPTIONS}
        backend = self.backend.with_options(**own)
        config = self._configure(backend, **fields)
        backend.check(config)
        return name, backend, _plan(config, Path(photos), class_photos)

    def configure(
        self,
        *,
        kind: Kind = "person",
        base: str | None = None,
        method: Method = "lora",
        **fields: Any,
    ) -> TrainingConfig:
        """Return the checked configuration of a training, with a placeholder for its subject."""
        return self._configure(self.backend, kind=kind, base=base, method=method, **fields)

    def _configure(
        self,
        backend: Backend,
        *,
        kind: Kind = "person",
        base: str | None = None,
        method: Method = "lora",
        **fields: Any,
    ) -> TrainingConfig:
        _one_of("kind", kind, _KINDS)
        _one_of("method", method, _METHODS)
        unknown = [field for field in fields if field not in TrainingConfig.model_fields]
        if unknown:  # said first: a misspelt word is the likeliest mistake
            raise ConfigError(
                f"training: unknown field {unknown[0]!r}."
                f"{suggest(unknown[0], [*TrainingConfig.model_fields, *backend.option_names])}"
            )
        model = resolve_base(base or self.settings.base)
        steps = fields.get("steps")
        recipe = preset(kind, method, model, steps=steps if isinstance(steps, int) else None)
        recipe |= backend.recipe()
        return TrainingConfig(**{"subject_id": "00000000", **recipe, **fields})

    def mirror(self, base: str) -> str:
        """Copy a base model into the bucket and return its address there.

        A hub model is downloaded to this machine first, which needs `lensa[local]`. Raises
        UserError; ConfigError on a backend that has no bucket.
        """
        return self.backend.mirror(resolve_base(base))

    def attach(self, name: str) -> TrainingJob:
        """Return the handle of a job that was started before, here or by another process.

        Raises NotFoundError if there is no such job.
        """
        self.backend.job(name)
        return TrainingJob(name, self.backend)

    def jobs(self) -> list[JobInfo]:
        """Return every training job, the newest first."""
        return self.backend.jobs()

    def avatars(self) -> list[Avatar]:
        """Return every finished avatar, the newest first."""
        return [
            Avatar(info.name, self.backend) for info in self.jobs() if info.status == "completed"
        ]

    def avatar(self, name: str) -> Avatar:
        """Return an avatar by its id, its subject's name (the latest), or a folder that holds one.

        Raises NotFoundError if there is none.
        """
        manifest = self.backend.manifest(name)
        known = {info.name for info in self.jobs()}
        return Avatar(manifest.avatar if manifest.avatar in known else name, self.backend)


def _plan(config: TrainingConfig, photos: Path, class_photos: str | Path | None) -> TrainingPlan:
    from lensa.photos.prepare import load_photos

    loaded = load_photos(photos, config.resolution)
    if class_photos is None:
        return TrainingPlan(config, loaded)
    if not config.prior_preservation:
        raise ConfigError(
            "training: class_photos are given but prior_preservation is off: set it to true, "
            "or leave class_photos out."
        )
    own = load_photos(Path(class_photos), config.resolution, least=1, most=2000)
    return TrainingPlan(config, loaded, own)


def _folder_name(photos: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", photos.expanduser().resolve().name).strip("-_")[:63]


def _one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"unknown {field} {value!r}.{suggest(str(value), known)}")


def _make_backend(settings: Settings) -> Backend:
    _one_of("backend", settings.backend, ("local", "sagemaker"))
    if settings.backend == "local":
        from lensa.backends.local import LocalBackend

        return LocalBackend(settings.home_path)
    from lensa.backends.sagemaker.backend import SagemakerBackend

    return SagemakerBackend(settings)
