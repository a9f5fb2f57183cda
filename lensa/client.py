"""The client: from photos to a training job, from a name to an avatar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from lensa.avatar import Avatar
from lensa.backends import subjects
from lensa.backends.base import Backend, JobInfo, Subject, TrainingPlan
from lensa.bases import resolve_base
from lensa.concepts import ConceptsInput
from lensa.consent import consented
from lensa.contract import KINDS, Kind, Method, TrainingConfig
from lensa.contract.events import Event, NoticeEvent
from lensa.contract.names import check_subject, new_subject_id
from lensa.costs import Forecast
from lensa.job import TrainingJob
from lensa.planning import one_of
from lensa.preparing import Preparation
from lensa.serving import Serving
from lensa.settings import Settings, load_settings
from lensa.summary import opening

if TYPE_CHECKING:
    from lensa.diagnosis import Diagnosis, Purpose
    from lensa.photos.examine import Examined
    from lensa.photos.showing.upload import Upload
    from lensa.photos.sources import PhotoInput


class Client(Serving):
    """Trains avatars and finds them again. Arguments that are not given come from the settings.

    `settings` are any of lensa.settings.Settings: region, profile, role, bucket, ...
    """

    def __init__(
        self, *, backend: str | None = None, home: str | Path | None = None, **settings: Any
    ) -> None:
        self.settings = load_settings(backend=backend, home=home, **settings)
        self.backend = _make_backend(self.settings)
        self._preparation = Preparation(self.settings, self.backend)

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
        name, backend, plan = self._preparation.plan(
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
        name, backend, plan = self._preparation.plan(
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
        return self._preparation.plan(photos, subject, **given)[2]

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
                buckets=self._preparation.objects,
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
            backend, options = self._preparation.backend_for(fields), {}
        recipe = self._preparation.recipe(
            kind=kind, base=base, **(fields if purpose == "train" else {})
        )

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

    def configure(
        self,
        *,
        kind: Kind | None = None,
        base: str | None = None,
        method: Method = "lora",
        **fields: Any,
    ) -> TrainingConfig:
        """Return the checked configuration of a training, with a placeholder for its subject."""
        return self._preparation.recipe(kind=kind, base=base, method=method, **fields).config(
            self.backend
        )

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


def _make_backend(settings: Settings) -> Backend:
    one_of("backend", settings.backend, ("local", "sagemaker"))
    if settings.backend == "local":
        from lensa.backends.local import LocalBackend

        return LocalBackend(settings.home_path)
    from lensa.backends.sagemaker.backend import SagemakerBackend

    return SagemakerBackend(settings)
