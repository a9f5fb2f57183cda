"""The client: from photos to a training job, from a name to an avatar."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from lensa.avatar import Avatar
from lensa.backends import subjects
from lensa.backends.base import LOOPBACK, Backend, JobInfo, Subject, TrainingPlan
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.bases import resolve_base
from lensa.consent import consented
from lensa.contract import Kind, Method, TrainingConfig, preset
from lensa.contract.events import Event, NoticeEvent
from lensa.contract.names import check_subject, new_subject_id
from lensa.costs import Forecast
from lensa.endpoint import Endpoint
from lensa.errors import ConfigError, suggest
from lensa.job import TrainingJob
from lensa.settings import Settings, load_settings

if TYPE_CHECKING:
    from lensa.photos.examine import Examined
    from lensa.photos.showing.upload import Upload
    from lensa.photos.sources import Objects, PhotoInput

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
        photos: PhotoInput,
        *,
        subject: str | None = ...,
        kind: Kind = ...,
        base: str | None = ...,
        method: Method = ...,
        class_photos: PhotoInput | None = ...,
        recursive: bool = ...,
        anyway: bool = ...,
        confirm: Callable[[Upload], bool] | None = ...,
        wait: Literal[True] = ...,
        on_event: Callable[[Event], None] | None = ...,
        **fields: Any,
    ) -> Avatar: ...
    @overload
    def train(
        self,
        photos: PhotoInput,
        *,
        subject: str | None = ...,
        kind: Kind = ...,
        base: str | None = ...,
        method: Method = ...,
        class_photos: PhotoInput | None = ...,
        recursive: bool = ...,
        anyway: bool = ...,
        confirm: Callable[[Upload], bool] | None = ...,
        wait: Literal[False],
        on_event: Callable[[Event], None] | None = ...,
        **fields: Any,
    ) -> TrainingJob: ...
    def train(
        self,
        photos: PhotoInput,
        *,
        subject: str | None = None,
        kind: Kind = "person",
        base: str | None = None,
        method: Method = "lora",
        class_photos: PhotoInput | None = None,
        recursive: bool = False,
        anyway: bool = False,
        confirm: Callable[[Upload], bool] | None = None,
        wait: bool = True,
        on_event: Callable[[Event], None] | None = None,
        **fields: Any,
    ) -> Avatar | TrainingJob:
        """Train an avatar on 4 to 20 photos.

        The same call is the same job: it finds the finished avatar, follows the running job, or
        goes on from the last checkpoint of one that was stopped or interrupted. The photos are
        looked at first, see `check`: what the coach advises is shown, and what stops is refused.

        Args:
            photos: photos of one subject: a folder, a zip, "s3://bucket/folder", PIL images, binary
                file objects, or a list of them.
            subject: a name of your own for it; the folder's name if not given.
            kind: person, pet or object; chooses the recipe.
            base: the base model: a registered name, a hub id, a diffusers folder or a
                `.safetensors` checkpoint; from the settings if not given.
            method: `lora` (megabytes) or `full` (all weights of the UNet).
            class_photos: your own class images, given like `photos`; without them they are
                generated.
            recursive: enter folders inside the folder, too.
            anyway: train even on photos that the coach would stop at.
            confirm: with backend="sagemaker", is told what would be uploaded, and nothing is unless
                it returns True. Without it the call itself is the consent, and the same is said
                before anything leaves the machine: to `on_event`, else on stderr.
            wait: return the finished avatar (True), or a handle at once (False).
            on_event: called with each event of the job; without it a progress bar is shown.
            fields: any field of TrainingConfig (steps, learning_rate, seed, ...), and with
                backend="sagemaker" any of SagemakerOptions (instance_type, spot, budget, ...).

        Raises:
            UserError: something has to be changed; nothing was started.
            TrainingError: the job failed, or was stopped (TrainingStopped).
        """
        name, backend, plan = self._prepared(
            photos,
            subject,
            class_photos,
            recursive,
            anyway,
            kind=kind,
            base=base,
            method=method,
            **fields,
        )
        plan = consented(backend, plan, confirm, on_event)
        owner = backend.subject(name)
        plan = plan.of(owner)
        with backend.claim(owner), ExitStack() as showing:
            if on_event is None and wait:
                from lensa.display import opening, training_display

                on_event = showing.enter_context(training_display(opening(plan, name)))
            job = TrainingJob(backend.start(plan, on_event), backend)
            if not wait:
                return job
            if on_event is not None:
                on_event(
                    NoticeEvent(message=f"it is {job.name}; from anywhere: {job.command('attach')}")
                )
            return job.wait(on_event)

    def dry_run(
        self,
        photos: PhotoInput,
        *,
        subject: str | None = None,
        class_photos: PhotoInput | None = None,
        recursive: bool = False,
        **fields: Any,
    ) -> tuple[dict[str, Any], Forecast]:
        """Return what `train` with the same arguments would send to AWS, operation -> exact
        parameters, and its forecast. Nothing is sent or asked, and nothing is written down.

        A subject without an id on this machine gets a made-up one. Raises UserError like `train`,
        but for what the coach says of the photos: asking costs nothing.
        """
        name, backend, plan = self._prepared(
            photos, subject, class_photos, recursive, True, **fields
        )
        known = subjects.named(self.settings.home_path, name)
        plan = plan.of(known or Subject(name, new_subject_id()))
        return backend.dry_run(plan), backend.forecast(plan.config)

    def _prepared(
        self,
        photos: PhotoInput,
        subject: str | None,
        class_photos: PhotoInput | None,
        recursive: bool,
        anyway: bool,
        **fields: Any,
    ) -> tuple[str, Backend, TrainingPlan]:
        """Check everything that this machine can check: the name, the recipe, the photos."""
        from lensa.photos.sources import named_after

        name = check_subject(subject if subject is not None else named_after(photos))
        own = {field: fields.pop(field) for field in list(fields) if field in _OPTIONS}
        backend = self.backend.with_options(**own)
        config = self._configure(backend, **fields)
        backend.check(config)
        return name, backend, self._plan(config, photos, class_photos, recursive, anyway)

    def check(
        self,
        photos: PhotoInput,
        *,
        kind: Kind = "person",
        base: str | None = None,
        recursive: bool = False,
        masks: bool = False,
        least: int = 1,
    ) -> Examined:
        """Look at photos as `train` would, and return what the coach says of them.

        Nothing is uploaded or written. The result shows itself in a notebook. `masks` are those of
        a masked loss. Raises PhotosError if fewer than `least` can be read, or if there are far too
        many; ConfigError if there is nothing that makes masks.
        """
        from lensa.photos.examine import examine
        from lensa.photos.showing.progress import looking

        _one_of("kind", kind, _KINDS)
        size = resolve_base(base or self.settings.base).resolution
        with looking() as on_progress:
            return examine(
                photos,
                size,
                kind=kind,
                least=least,
                recursive=recursive,
                masks=masks,
                buckets=self._objects,
                on_progress=on_progress,
            )

    def _objects(self, bucket: str) -> Objects:
        """Return a bucket of the user's own, to read photos from."""
        from lensa.backends.sagemaker.account import Account
        from lensa.backends.sagemaker.bucket import Bucket
        from lensa.backends.sagemaker.transfer import Store

        account = Account(region=self.settings.region, profile=self.settings.profile)
        return Store(Bucket(account, bucket, prefix=""))

    def _plan(
        self,
        config: TrainingConfig,
        photos: PhotoInput,
        class_photos: PhotoInput | None,
        recursive: bool,
        anyway: bool,
    ) -> TrainingPlan:
        from lensa.photos.examine import examine
        from lensa.photos.prepare import load_photos
        from lensa.photos.showing.progress import looking

        with looking() as on_progress:
            examined = examine(
                photos,
                config.resolution,
                kind=config.kind,
                recursive=recursive,
                masks=config.masked_loss,
                buckets=self._objects,
                on_progress=on_progress,
            )
        plan = TrainingPlan(config, examined.for_training(anyway=anyway))
        if class_photos is None:
            return plan
        if not config.prior_preservation:
            raise ConfigError(
                "training: class_photos are given but prior_preservation is off: set it to true, "
                "or leave class_photos out."
            )
        own = load_photos(
            class_photos, config.resolution, least=1, most=2000, buckets=self._objects
        )
        return replace(plan, class_photos=own)

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

    def mirror(self, base: str, **options: Any) -> str:
        """Copy a base model into the bucket and return its address there.

        A hub model is downloaded to this machine first, which needs `lensa[local]`. `options` are
        those of the backend, such as create_bucket. Raises UserError; ConfigError on a backend that
        has no bucket.
        """
        return self.backend.with_options(**options).mirror(resolve_base(base))

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

    def serve(
        self,
        *avatars: str,
        port: int | None = None,
        host: str = LOOPBACK[0],
        token: str | None = None,
    ) -> Endpoint:
        """Serve avatars over HTTP on this machine and return when that is healthy: close it, or
        use it in a `with` block. A request says by `avatar` which one it means, or gets the first.

        `token`: who asks has to send it, as `Authorization: Bearer TOKEN`. Raises ConfigError if
        there is none and `host` is reached from elsewhere, or if the avatars are not LoRAs on one
        base; NotFoundError; BusyError if the port is taken.
        """
        if not avatars:
            raise ConfigError("Say which avatar to serve: lensa avatars lists them.")
        if host not in LOOPBACK and not token:
            raise ConfigError(
                f"host = {host!r} is reached from other machines: set a token, or leave host out."
            )
        found = [self.avatar(name) for name in dict.fromkeys(avatars)]
        server = self.backend.serve([one.id for one in found], port=port, host=host, token=token)
        return Endpoint(found[0].id, server, name=found[0].subject)


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
