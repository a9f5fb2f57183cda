"""The client: from photos to a training job, from a name to an avatar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from lensa.avatar import Avatar
from lensa.backends import subjects
from lensa.backends.base import (
    LOOPBACK,
    Backend,
    JobInfo,
    Running,
    Subject,
    TakenDown,
    TrainingPlan,
)
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.bases import resolve_base
from lensa.concepts import ConceptsInput, read_concepts
from lensa.consent import consented
from lensa.contract import KINDS, Kind, Method, TrainingConfig
from lensa.contract.events import Event, NoticeEvent
from lensa.contract.names import check_subject, new_subject_id
from lensa.costs import Forecast
from lensa.endpoint import Endpoint
from lensa.errors import ConfigError
from lensa.job import TrainingJob
from lensa.planning import PhotoReader, Recipe, make_plan, one_of
from lensa.settings import Settings, load_settings
from lensa.summary import opening
from lensa.telling import telling

if TYPE_CHECKING:
    from lensa.diagnosis import Diagnosis, Purpose
    from lensa.photos.examine import Examined
    from lensa.photos.showing.upload import Upload
    from lensa.photos.sources import Objects, PhotoInput

_OPTIONS = frozenset(SagemakerOptions.model_fields)  # of the backend, not of the recipe


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
        photos: PhotoInput | None = ...,
        *,
        subject: str | None = ...,
        kind: Kind | None = ...,
        base: str | None = ...,
        method: Method = ...,
        class_photos: PhotoInput | None = ...,
        concepts: ConceptsInput | None = ...,
        captions: bool = ...,
        allow_ckpt: bool = ...,
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
        photos: PhotoInput | None = ...,
        *,
        subject: str | None = ...,
        kind: Kind | None = ...,
        base: str | None = ...,
        method: Method = ...,
        class_photos: PhotoInput | None = ...,
        concepts: ConceptsInput | None = ...,
        captions: bool = ...,
        allow_ckpt: bool = ...,
        recursive: bool = ...,
        anyway: bool = ...,
        confirm: Callable[[Upload], bool] | None = ...,
        wait: Literal[False],
        on_event: Callable[[Event], None] | None = ...,
        **fields: Any,
    ) -> TrainingJob: ...
    def train(
        self,
        photos: PhotoInput | None = None,
        *,
        subject: str | None = None,
        kind: Kind | None = None,
        base: str | None = None,
        method: Method = "lora",
        class_photos: PhotoInput | None = None,
        concepts: ConceptsInput | None = None,
        captions: bool = True,
        allow_ckpt: bool = False,
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
            kind: person, pet, object or style; chooses the recipe. Person if not given.
            base: the base model: a registered name, a hub id, a diffusers folder or a
                `.safetensors` checkpoint; from the settings if not given.
            method: `lora` (megabytes) or `full` (all weights of the UNet).
            class_photos: your own class images, given like `photos`; without them they are
                generated.
            concepts: in the photos' place several things that one avatar learns: a file
                `concepts_list.json`, or a list like it; see lensa.concepts.
            captions: learn a photo by the text beside it, `photo.txt`, where there is one.
            allow_ckpt: read a base from a `.ckpt`, of which the weights alone are loaded.
            recursive: enter folders inside the folder, too.
            anyway: train even on photos that the coach would stop at.
            confirm: with backend="sagemaker", is told what would be uploaded, and nothing is unless
                it returns True. Without it the call itself is the consent, and the same is said
                before anything leaves the machine: to `on_event`, else on stderr.
            wait: return the finished avatar (True), or a handle at once (False).
            on_event: called with each event of the job; without it a progress bar is shown.
            fields: any field of TrainingConfig (steps, learning_rate, seed, ...; `vae` may be a hub
                id or a folder, and `token` "cipher": the name, turned), and with
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
            concepts=concepts,
            captions=captions,
            kind=kind,
            base=base,
            method=method,
            allow_ckpt=allow_ckpt,
            **fields,
        )
        plan = consented(backend, plan, confirm, on_event)
        backend.preflight(plan.config)
        owner = backend.subject(name)
        plan = plan.of(owner)
        with backend.claim(owner), ExitStack() as showing:
            lines = opening(plan, name)
            if on_event is not None:
                on_event(NoticeEvent(message="\n".join(lines)))
            elif wait:
                from lensa.display import training_display

                on_event = showing.enter_context(training_display(lines))
            else:
                print(*lines, sep="\n", file=sys.stderr)
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
        photos: PhotoInput | None = None,
        *,
        subject: str | None = None,
        class_photos: PhotoInput | None = None,
        concepts: ConceptsInput | None = None,
        recursive: bool = False,
        captions: bool = True,
        **fields: Any,
    ) -> tuple[dict[str, Any], Forecast]:
        """Return what `train` with the same arguments would send to AWS, operation -> exact
        parameters, and its forecast. Nothing is sent or asked, and nothing is written down.

        A subject without an id on this machine gets a made-up one. Raises UserError like `train`,
        but for what the coach says of the photos: asking costs nothing.
        """
        name, backend, plan = self._prepared(
            photos,
            subject,
            class_photos,
            recursive,
            True,
            concepts=concepts,
            captions=captions,
            **fields,
        )
        known = subjects.named(self.settings.home_path, name)
        plan = plan.of(known or Subject(name, new_subject_id()))
        return backend.dry_run(plan), backend.forecast(plan.config)

    def prepare(self, photos: PhotoInput, *, subject: str, **options: Any) -> TrainingPlan:
        """Check everything that `train` with the same arguments checks first, and return the plan,
        with a placeholder for the subject. Nothing is started, asked or written down.

        Raises UserError like `train`.
        """
        given = {"class_photos": None, "recursive": False, "anyway": False, **options}
        return self._prepared(photos, subject, **given)[2]

    def _prepared(
        self,
        photos: PhotoInput | None,
        subject: str | None,
        class_photos: PhotoInput | None,
        recursive: bool,
        anyway: bool,
        *,
        concepts: ConceptsInput | None = None,
        captions: bool = True,
        **fields: Any,
    ) -> tuple[str, Backend, TrainingPlan]:
        """Check everything that this machine can check: the name, the recipe, the photos."""
        from lensa.photos.sources import named_after

        if (photos is None) == (concepts is None) or (concepts and class_photos is not None):
            raise ConfigError(
                "training: give photos, or concepts, of which each names its own photos and class "
                "images."
            )
        given = () if concepts is None else read_concepts(concepts)
        first = given[0].photos if photos is None else photos
        name = check_subject(subject if subject is not None else named_after(first))
        own = {field: fields.pop(field) for field in list(fields) if field in _OPTIONS}
        backend = self.backend.with_options(**own)
        recipe = replace(self._recipe(**fields), name=name, concepts=given)
        config = recipe.config(backend)
        backend.check(config)
        reader = PhotoReader(
            config.resolution,
            (name,),
            self._objects,
            recursive=recursive,
            anyway=anyway,
            captions=captions,
            masks=config.masked_loss,
        )
        plan = make_plan(config, reader, first, class_photos, given)
        count = sum(len(concept.photos.photos) for concept in plan.every_concept)
        return name, backend, replace(plan, config=recipe.scaled(backend, config, count))

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

        one_of("kind", kind, KINDS)
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

    def doctor(
        self,
        photos: PhotoInput | None = None,
        *,
        purpose: Purpose = "train",
        subject: str | None = None,
        recursive: bool = False,
        kind: Kind | None = None,
        base: str | None = None,
        **fields: Any,
    ) -> Diagnosis:
        """Look for whatever would stand in the way of a training or an endpoint, before it costs.

        Nothing is changed, uploaded or started, and nothing that is found is raised: the report
        says it (`ok`, `failures`), prints as a table, and shows itself in a notebook.

        Args:
            photos: photos to look at as well, given as to `train`.
            purpose: "train" or "deploy".
            subject: a name to look at as well.
            recursive: enter folders inside the folder of photos, too.
            fields: what `train` takes (steps, instance_type, spot, ...), or `deploy`.

        Raises ConfigError for options that cannot be.
        """
        from lensa.diagnosis import diagnose

        one_of("purpose", purpose, ("train", "deploy"))
        one_of("kind", kind or "person", KINDS)
        if subject is not None:
            check_subject(subject)
        backend, options = self.backend, fields
        if purpose == "train":
            own = {field: fields.pop(field) for field in list(fields) if field in _OPTIONS}
            backend, options = backend.with_options(**own), {}
        recipe = self._recipe(kind=kind, base=base, **(fields if purpose == "train" else {}))

        def configure(photos: int | None) -> TrainingConfig:
            config = recipe.config(backend)
            return config if photos is None else recipe.scaled(backend, config, photos)

        look = partial(self.check, kind=kind or "person", base=recipe.base, recursive=recursive)
        return diagnose(
            self.settings,
            backend,
            purpose,
            base=recipe.base,
            photos=None if photos is None else partial(look, photos),
            configure=configure,
            options=options,
        )

    def _objects(self, bucket: str) -> Objects:
        """Return a bucket of the user's own, to read photos from."""
        from lensa.backends.sagemaker.account import Account
        from lensa.backends.sagemaker.bucket import Bucket
        from lensa.backends.sagemaker.transfer import Store

        account = Account(region=self.settings.region, profile=self.settings.profile)
        return Store(Bucket(account, bucket, prefix=""))

    def configure(
        self,
        *,
        kind: Kind | None = None,
        base: str | None = None,
        method: Method = "lora",
        **fields: Any,
    ) -> TrainingConfig:
        """Return the checked configuration of a training, with a placeholder for its subject."""
        return self._recipe(kind=kind, base=base, method=method, **fields).config(self.backend)

    def _recipe(
        self,
        *,
        kind: str | None = None,
        base: str | None = None,
        method: str = "lora",
        allow_ckpt: bool = False,
        **fields: Any,
    ) -> Recipe:
        return Recipe(kind, method, base or self.settings.base, allow_ckpt, fields=fields)

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

    def deploy(
        self,
        *avatars: str,
        wait: bool = True,
        on_event: Callable[[Event], None] | None = None,
        **options: Any,
    ) -> Endpoint:
        """Deploy avatars together: on SageMaker as one endpoint, on this machine as one server.

        They are LoRAs on one base; full weights are deployed alone. A request says by `avatar`
        which one it means, or gets the first. See Avatar.deploy.
        """
        if not avatars:
            raise ConfigError("Say which avatar to deploy: lensa avatars lists them.")
        found = [self.avatar(name) for name in dict.fromkeys(avatars)]
        with telling(self.backend, on_event) as tell:
            server = self.backend.deploy(
                [one.id for one in found], on_event=tell, wait=wait, **options
            )
        explicit = server.shelf is not None
        return Endpoint(found[0].id, server, name=found[0].subject, explicit=explicit)

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint on SageMaker that was deployed before, here or on another machine.

        Raises NotFoundError if there is none of that name (any more).
        """
        avatar, server = self.backend.endpoint(name)
        subject = Avatar(avatar, self.backend).subject
        return Endpoint(avatar, server, name=subject, explicit=True)

    def endpoints(self) -> list[Running]:
        """Return the endpoints of the account and region, the newest first."""
        return [one for one in self.running() if one.is_endpoint]

    def running(self) -> list[Running]:
        """Return everything of ours that runs in the account and region, the newest first:
        endpoints, training jobs, machines that are kept warm; each with its end and its price."""
        return self.backend.running()

    def down(self, *names: str, expired: bool = False, every: bool = False) -> list[TakenDown]:
        """Take endpoints down, with all that belongs to them, and return what went.

        `expired`: those whose end has come, with what they have left. `every`: all of ours. What
        was not made by lensa is never touched. Raises NotFoundError if a name is not there.
        """
        return self.backend.take_down(self.to_take_down(*names, expired=expired, every=every))

    def to_take_down(self, *names: str, expired: bool = False, every: bool = False) -> list[str]:
        """Return the names of what `down` with the same arguments would take down."""
        chosen = list(names)
        if expired or every:
            chosen += self.backend.expired()
        if every:
            chosen += [one.name for one in self.endpoints()]
        return list(dict.fromkeys(chosen))

    def serve(
        self,
        *avatars: str,
        port: int | None = None,
        host: str = LOOPBACK[0],
        token: str | None = None,
        show_log: bool = False,
    ) -> Endpoint:
        """Serve avatars over HTTP on this machine and return when that is healthy: close it, or
        use it in a `with` block. A request says by `avatar` which one it means, or gets the first.

        `token`: who asks has to send it, as `Authorization: Bearer TOKEN`. `show_log` lets the
        server log to stderr. Raises ConfigError if
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
        server = self.backend.serve(
            [one.id for one in found], port=port, host=host, token=token, show_log=show_log
        )
        return Endpoint(found[0].id, server, name=found[0].subject)


def _make_backend(settings: Settings) -> Backend:
    one_of("backend", settings.backend, ("local", "sagemaker"))
    if settings.backend == "local":
        from lensa.backends.local import LocalBackend

        return LocalBackend(settings.home_path)
    from lensa.backends.sagemaker.backend import SagemakerBackend

    return SagemakerBackend(settings)
