"""What a backend does: the same for one machine and for an AWS account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from lensa.contract import (
    AvatarManifest,
    BaseModelRef,
    GenerationRequest,
    GenerationResponse,
    TrainingConfig,
)
from lensa.contract.consent import Consent
from lensa.contract.events import Event
from lensa.contract.names import job_name
from lensa.costs import Forecast
from lensa.photos.photoset import PhotoSet

Status = Literal["running", "completed", "stopped", "interrupted", "failed"]
# stopped: on purpose; interrupted: the process is gone. Both go on from the last checkpoint.


@dataclass(frozen=True)
class Subject:
    """A subject: the user's name for it, and the id that stands for it everywhere else."""

    name: str
    id: str


@dataclass(frozen=True)
class ConceptPhotos:
    """The photos of one concept, and the user's own images of its class, if there are any."""

    photos: PhotoSet
    class_photos: PhotoSet | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """Everything a training needs, checked: from here on it may cost."""

    config: TrainingConfig
    photos: PhotoSet
    class_photos: PhotoSet | None = None
    concepts: tuple[ConceptPhotos, ...] = ()  # those of config.concepts, beside the subject
    consent: Consent | None = None  # to their leaving this machine; None: they stay

    @property
    def every_concept(self) -> tuple[ConceptPhotos, ...]:
        """The subject's photos, and those of what is learned beside it."""
        return (ConceptPhotos(self.photos, self.class_photos), *self.concepts)

    @property
    def name(self) -> str:
        """The name of the training: the same plan, the same name."""
        digests = [*self.photos.identity]
        if self.class_photos is not None:
            digests += self.class_photos.digests
        for number, concept in enumerate(self.concepts, start=2):
            digests += [f"{number}/{one}" for one in concept.photos.identity]
            if concept.class_photos is not None:
                digests += [f"{number}/class/{one}" for one in concept.class_photos.digests]
        return job_name(self.config.subject_id, digests, self.config.identity())

    def of(self, subject: Subject) -> TrainingPlan:
        """Return the same plan for a subject."""
        config = self.config.model_copy(update={"subject_id": subject.id})
        return replace(self, config=config)


@dataclass(frozen=True)
class JobInfo:
    """A training job as a list shows it."""

    name: str
    subject: Subject
    status: Status
    created: datetime
    base: str
    steps: int
    reason: str = ""  # of a failure, in one paragraph


@dataclass(frozen=True)
class Running:
    """Something of ours that runs, and costs."""

    name: str
    kind: Literal["endpoint", "asynchronous endpoint", "training job", "warm pool"]
    status: str
    instance_type: str
    instances: int  # now
    created: datetime
    end: datetime | None  # that is set; None: nothing ends it
    due: datetime | None  # when it was to end
    forever: bool  # there is no end because none was wanted
    hourly: float | None  # dollars of one instance; None: not known
    dollars: float | None  # so far; None: not known
    at_most: bool = False  # the dollars are those of machines that never slept

    @property
    def is_endpoint(self) -> bool:
        return self.kind in {"endpoint", "asynchronous endpoint"}


@dataclass(frozen=True)
class TakenDown:
    """An endpoint that was taken down: what went, and what could not be removed and why."""

    name: str
    removed: tuple[str, ...]
    failed: tuple[str, ...]


LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Queue(Protocol):
    """Where the requests of an asynchronous endpoint wait, and their answers."""

    def put(self, request: GenerationRequest) -> str:
        """Leave a request, and return the id that it is known by from any machine."""

    def look(self, id: str) -> GenerationResponse | None:
        """Return the answer, or None if it is not there yet. It stays where it is.

        Raises NotFoundError for an unknown id, and what `Server.invoke` raises.
        """

    def wait(
        self, id: str, seconds: float | None = None, *, keep: bool = False
    ) -> GenerationResponse:
        """Return the answer when it is there, and delete it unless it is to be kept.

        Raises EndpointBusy if that takes longer than `seconds`.
        """

    def forget(self, id: str) -> None:
        """Delete a request and its answer: they are about a person. One that has not been begun
        is not drawn; the answer of one that has, is deleted when it has come. Again does
        nothing."""


class Shelf(Protocol):
    """The avatars of an endpoint to which some can be added while it runs."""

    def names(self) -> list[str]:
        """Return the ids of those that it draws with."""

    def find(self, name: str) -> str:
        """Return the id of an avatar by its id or its subject's name; NotFoundError."""

    def add(self, avatar: str) -> None:
        """Let the endpoint draw with another finished avatar, too, by its id.

        Raises ConfigError if it cannot hold this one.
        """

    def remove(self, avatar: str) -> None:
        """Take an avatar away that was added, by its id.

        Raises NotFoundError, and ConfigError for one that the endpoint was deployed with.
        """


class Server(Protocol):
    """A running endpoint."""

    found: bool  # it ran before: leaving a `with` block does not take it down, only `close` does

    @property
    def url(self) -> str: ...

    @property
    def name(self) -> str | None:
        """By which Client.endpoint finds it from anywhere; None: it ends with this process."""

    def end(self) -> datetime | None:
        """Return when it is deleted by itself; None: nothing is set to do that."""

    @property
    def shelf(self) -> Shelf | None:
        """Its avatars; None if they are those that it began with."""

    @property
    def queue(self) -> Queue | None:
        """Where requests wait; None if each is answered while whoever asks waits."""

    def invoke(self, request: GenerationRequest) -> GenerationResponse:
        """Ask for no more images than one answer holds, and wait while the endpoint is busy.

        Raises EndpointBusy if it is so for too long, TooMuchError if one answer does not hold what
        is asked for, another UserError for what the request has to change, EndpointError if it
        fails.
        """

    def alive(self) -> bool: ...

    def sdk(self) -> Any:
        """Return the endpoint as the platform's own SDK has it."""

    def close(self) -> None:
        """Take it down. Calling it again does nothing."""


class Backend(Protocol):
    """Trains and serves. Errors are those of `lensa.errors`."""

    name: str
    option_names: frozenset[str]  # how a training runs, beside what it trains

    @property
    def flags(self) -> str:
        """The options of a command that is to look here."""

    def with_options(self, **options: Any) -> Self:
        """Return the backend with options of its own changed; ConfigError for what they cannot
        be."""

    def recipe(self) -> dict[str, Any]:
        """Return what a recipe has to change for the machine that it will run on."""

    def subject(self, name: str) -> Subject:
        """Return the subject of that name, with a new id if it is new."""

    def claim(self, subject: Subject) -> AbstractContextManager[object]:
        """Hold a subject for one client as long as that client lives.

        Raises BusyError if another living client trains the subject.
        """

    def destination(self) -> tuple[str, str] | None:
        """Return where photos would be sent, and in words until when they stay there; None if they
        stay on this machine."""

    def check(self, config: TrainingConfig) -> None:
        """Raise UserError for what can be known to fail before anything is started, asking nobody
        else."""

    def preflight(self, config: TrainingConfig) -> None:
        """Ask for all that a training needs where it will run, before anything is sent there.

        Raises one error that lists everything that is missing.
        """

    def start(self, plan: TrainingPlan, on_event: Callable[[Event], None] | None = None) -> str:
        """Start a training and return its name, or that of the same one if it is there already.

        `on_event` hears of what is done until then. Raises BusyError if another training of the
        subject runs.
        """

    def dry_run(self, plan: TrainingPlan) -> dict[str, Any]:
        """Return operation -> exact parameters of what `start` would send, and send nothing."""

    def mirror(self, base: BaseModelRef) -> str:
        """Bring a base model to where jobs load it from, and return its address."""

    def forecast(self, config: TrainingConfig, *, ask: bool = False) -> Forecast:
        """Return time and price of a training before it starts; with `ask`, AWS is asked for the
        price, else the table has it."""

    def job(self, name: str) -> JobInfo:
        """Raise NotFoundError if there is no such job."""

    def jobs(self) -> list[JobInfo]:
        """Every job, the newest first."""

    def log(self, name: str, *, follow: bool, whole: bool = True) -> Iterator[str]:
        """Yield the lines of a job's log; with `follow`, until the job ends. `whole=False` begins
        at the latest start."""

    def events(self, name: str) -> Iterator[Event]:
        """Yield what the job's latest start said and says, until it ends."""

    def stop(self, name: str) -> None:
        """Stop a job with a checkpoint saved, and return when it has stopped."""

    def sdk(self, name: str) -> Any:
        """Return the job as the platform's own SDK has it."""

    def manifest(self, avatar: str) -> AvatarManifest:
        """Return a finished avatar's manifest; NotFoundError if there is none."""

    def folder(self, avatar: str) -> Path:
        """Return a local folder with the avatar's files."""

    def file(self, avatar: str, path: str) -> bytes:
        """Return one of the avatar's files, as it is: nobody has held it against its digest.

        Raises ArtifactError if it is not there.
        """

    def serve(
        self,
        avatars: Sequence[str],
        *,
        port: int | None = None,
        host: str = LOOPBACK[0],
        token: str | None = None,
        show_log: bool = False,
    ) -> Server:
        """Serve avatars on this machine and return when that is healthy. They share a base.

        `show_log`: on stderr.
        """

    def deploy(
        self,
        avatars: Sequence[str],
        *,
        on_event: Callable[[Event], None] | None = None,
        wait: bool = True,
        **options: Any,
    ) -> Server:
        """Serve avatars, which share a base, and return when the endpoint is healthy.

        `options` are the backend's own; ConfigError for others. Without `wait` it may not be
        healthy yet.
        """

    def at_hand(self, avatar: str) -> AbstractContextManager[Server]:
        """Return an endpoint for one call. Nothing is started that costs.

        Raises NotFoundError, saying what there is to do, if there is none.
        """

    def endpoint(self, name: str) -> tuple[str, Server]:
        """Return an endpoint that runs, and the avatar that draws if a request names none.

        Raises NotFoundError if there is none of that name.
        """

    def queue(self, endpoint: str) -> Queue:
        """Return where the requests of an asynchronous endpoint lie, also when it has ended."""

    def running(self) -> list[Running]:
        """Return everything of ours that runs, the newest first."""

    def take_down(self, names: Sequence[str], *, listed: bool = False) -> list[TakenDown]:
        """Take endpoints down, with all that belongs to them; NotFoundError before anything is
        touched if one is not there and has left nothing. `listed`: a list had them, and what has
        gone since is passed over. Answers that nobody has fetched yet stay then."""

    def expired(self) -> list[str]:
        """Return the endpoints whose end has come and that are there, or have left something."""
