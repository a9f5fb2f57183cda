"""The local backend: runs on disk, trainers as processes that outlive their client."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from lensa.backends.base import (
    LOOPBACK,
    JobInfo,
    Queue,
    Running,
    Server,
    Subject,
    TakenDown,
    TrainingPlan,
)
from lensa.backends.disk import make_folder, storage, write_whole
from lensa.backends.local.children import child_environment, entrypoint, require_ml_stack
from lensa.backends.local.runs import (
    Run,
    all_runs,
    training_lock,
)
from lensa.backends.local.serving import LocalServer
from lensa.backends.locks import Lock
from lensa.backends.subjects import find_subject, subject_of
from lensa.backends.together import check_together
from lensa.contract import MANIFEST, AvatarManifest, BaseModelRef, TrainingConfig
from lensa.contract.environment import CLASS_CACHE
from lensa.contract.events import Event, ValidationEvent, parse_event
from lensa.costs import Forecast
from lensa.errors import ArtifactError, BusyError, ConfigError, LensaError, NotFoundError, suggest

_POLL_SECONDS = 0.1
_ELSEWHERE = "In an AWS account: --backend sagemaker (backend='sagemaker')."
_STOP_SECONDS = 120  # as long as SageMaker waits between SIGTERM and SIGKILL


class LocalBackend:
    """Trains and serves on this machine, below `home`."""

    name = "local"
    flags = ""
    option_names: frozenset[str] = frozenset()

    def __init__(self, home: Path) -> None:
        self.home = home
        self._children: list[subprocess.Popen[bytes]] = []

    def with_options(self, **options: Any) -> LocalBackend:
        if options:
            raise ConfigError(f"{min(options)} is an option of backend='sagemaker'.")
        return self

    # --- training ---

    def recipe(self) -> dict[str, Any]:
        return {}

    def subject(self, name: str) -> Subject:
        return subject_of(self.home, name)

    @contextmanager
    def claim(self, subject: Subject) -> Iterator[None]:
        lock = Lock(self.home / "subjects" / subject.id / "client.lock")
        if not lock.acquire():
            job = (training_lock(self.home, subject.id).holder() or "").partition(" ")[0]
            raise BusyError(
                f"{subject.name!r} is being trained right now by another client"
                + (f". Watch it with: lensa logs -f {job}" if job else "; try again in a moment.")
            )
        try:
            yield
        finally:
            lock.release()

    def destination(self) -> tuple[str, str] | None:
        return None

    def check(self, config: TrainingConfig) -> None:
        require_ml_stack(config.base)

    def preflight(self, config: TrainingConfig) -> None:
        """Do nothing: `check` has seen all there is."""

    def start(self, plan: TrainingPlan, on_event: Callable[[Event], None] | None = None) -> str:
        config, run = plan.config, Run(self.home, plan.name)
        lock = training_lock(self.home, config.subject_id)
        if not lock.acquire():
            holder = (lock.holder() or "").partition(" ")[0]
            if holder == run.name:
                return run.name
            name = find_subject(self.home, config.subject_id).name
            raise BusyError(
                f"{name!r} is being trained already ({holder or 'another client'}). Wait for it, "
                f"or end it with: lensa stop {holder or 'JOB'}"
            )
        try:
            if run.layout.model.joinpath(MANIFEST).is_file():
                return run.name
            self._prepare(run, plan)
            self._launch(run, lock)
        finally:
            lock.release()
        return run.name

    def _prepare(self, run: Run, plan: TrainingPlan) -> None:
        """Write the inputs. A new run that cannot be written leaves nothing behind."""
        new = not run.facts_file.is_file()  # it is written last
        try:
            for number, concept in enumerate(plan.every_concept, start=1):
                concept.photos.write(make_folder(run.layout.photos_of(number)))
                if concept.class_photos is not None:
                    concept.class_photos.write(make_folder(run.layout.class_images_of(number)))
            make_folder(run.layout.config.parent)
            write_whole(run.layout.config, plan.config.model_dump_json(indent=2).encode())
            if new:
                run.create(
                    {
                        "subject_id": plan.config.subject_id,
                        "base": plan.config.base.name,
                        "steps": plan.config.steps,
                    }
                )
        except BaseException:
            if new:
                run.remove()
            raise

    def _launch(self, run: Run, lock: Lock) -> None:
        lock.note(run.name)
        run.layout.failure.unlink(missing_ok=True)
        offset = run.log.stat().st_size if run.log.exists() else 0
        with storage(run.folder), run.log.open("ab") as log:
            write_whole(run.folder / "offset", str(offset).encode())
            child = subprocess.Popen(
                entrypoint("training_entrypoint"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=child_environment(
                    run.layout.root,
                    TRAINING_JOB_NAME=run.name,
                    **{CLASS_CACHE: str(self.home.resolve() / "class_images")},
                ),
                pass_fds=(lock.fd,),
                start_new_session=True,  # it outlives its client, and Ctrl-C is not for it
            )
        self._children.append(child)
        lock.note(f"{run.name} {child.pid}")

    def dry_run(self, plan: TrainingPlan) -> dict[str, Any]:
        raise ConfigError("a dry run shows what AWS would be sent: use backend='sagemaker'.")

    def mirror(self, base: BaseModelRef) -> str:
        raise ConfigError("base models are mirrored to a bucket: use backend='sagemaker'.")

    def forecast(self, config: TrainingConfig, *, ask: bool = False) -> Forecast:
        raise ConfigError("time and price are told for AWS's machines: use backend='sagemaker'.")

    # --- following ---

    def job(self, name: str) -> JobInfo:
        return Run(self.home, name).info()

    def jobs(self) -> list[JobInfo]:
        infos = [run.info() for run in all_runs(self.home)]
        return sorted(infos, key=lambda info: info.created.astimezone(UTC), reverse=True)

    def log(self, name: str, *, follow: bool, whole: bool = True) -> Iterator[str]:
        run = Run(self.home, name)
        run.info()  # NotFoundError now, not at the first line
        return self._lines(run, follow, 0 if whole else _latest_start(run))

    def events(self, name: str) -> Iterator[Event]:
        folder = Run(self.home, name).layout.checkpoints
        for line in self.log(name, follow=True, whole=False):
            event = parse_event(line)
            if isinstance(event, ValidationEvent):
                images = [str(folder / image) for image in event.images]
                event = event.model_copy(update={"images": images})
            if event is not None:
                yield event

    def _lines(self, run: Run, follow: bool, offset: int) -> Iterator[str]:
        if not run.log.exists():
            return
        with run.log.open("rb") as file:
            file.seek(offset)
            rest = b""
            while True:
                ended = not self._running(run)  # asked before reading: nothing said later is lost
                while chunk := file.read(65536):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
                if ended or not follow:
                    break
                time.sleep(_POLL_SECONDS)
            if rest:
                yield rest.decode(errors="replace")

    def _running(self, run: Run) -> bool:
        self._children = [child for child in self._children if child.poll() is None]
        return run.running()

    def stop(self, name: str) -> None:
        run = Run(self.home, name)
        run.info()
        pid = run.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._running(run):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)

    def sdk(self, name: str) -> Any:
        raise ConfigError("the SDK knows the jobs of AWS: use backend='sagemaker'.")

    # --- avatars ---

    def manifest(self, avatar: str) -> AvatarManifest:
        return read_manifest(self.folder(avatar))

    def folder(self, avatar: str) -> Path:
        """Return the folder of a finished avatar by its id, by its subject's name (the latest), or
        by the path of a folder that holds `avatar.json`."""
        finished = [info for info in self.jobs() if info.status == "completed"]
        for info in finished:
            if avatar in {info.name, info.subject.name, info.subject.id}:
                return Run(self.home, info.name).layout.model
        path = Path(avatar).expanduser()
        if (path / MANIFEST).is_file():
            return path.resolve()
        started = [info for info in self.jobs() if avatar in {info.name, info.subject.name}]
        if started:
            raise NotFoundError(
                f"{avatar!r} is not trained yet: {started[0].name} is {started[0].status}."
            )
        names = {info.subject.name for info in finished} | {info.name for info in finished}
        hint = suggest(avatar, names) if names else " There are none yet: see lensa train --help."
        raise NotFoundError(f"there is no avatar {avatar!r}.{hint}")

    def file(self, avatar: str, path: str) -> bytes:
        try:
            return (self.folder(avatar) / path).read_bytes()
        except OSError as error:
            raise ArtifactError(f"{avatar}: {path} cannot be read: {error.strerror}.") from None

    def serve(
        self,
        avatars: Sequence[str],
        *,
        port: int | None = None,
        host: str = LOOPBACK[0],
        token: str | None = None,
        show_log: bool = False,
    ) -> Server:
        folders = [self.folder(avatar) for avatar in avatars]
        manifests = [read_manifest(folder) for folder in folders]
        check_together(manifests)
        require_ml_stack(manifests[0].config.base)
        return LocalServer(folders, port=port, host=host, token=token, show_log=show_log)

    def deploy(
        self,
        avatars: Sequence[str],
        *,
        on_event: Callable[[Event], None] | None = None,
        wait: bool = True,
        port: int | None = None,
        **options: Any,
    ) -> Server:
        if options or not wait:
            name = min(options) if options else "wait"
            raise ConfigError(
                f"{name} is an option of backend='sagemaker'; on this machine an endpoint has a "
                "port, and ends with its client."
            )
        return self.serve(avatars, port=port)

    @contextmanager
    def at_hand(self, avatar: str) -> Iterator[Server]:
        server = self.serve([avatar])
        try:
            yield server
        finally:
            server.close()

    def endpoint(self, name: str) -> tuple[str, Server]:
        raise ConfigError(
            "an endpoint of this machine belongs to the client that started it; those that are "
            "found again are AWS's: use backend='sagemaker'."
        )

    def queue(self, endpoint: str) -> Queue:
        raise ConfigError(f"an endpoint of this machine keeps no requests. {_ELSEWHERE}")

    def running(self) -> list[Running]:
        raise ConfigError(f"what costs by the hour runs in AWS. {_ELSEWHERE}")

    def take_down(self, names: Sequence[str], *, listed: bool = False) -> list[TakenDown]:
        raise ConfigError(f"an endpoint of this machine ends with its client. {_ELSEWHERE}")

    def expired(self) -> list[str]:
        raise ConfigError(f"an endpoint of this machine ends with its client. {_ELSEWHERE}")


def read_manifest(folder: Path) -> AvatarManifest:
    """Return the manifest in a folder; ArtifactError if it cannot be read."""
    path = folder / MANIFEST
    try:
        return AvatarManifest.model_validate_json(path.read_bytes())
    except (OSError, LensaError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None


def _latest_start(run: Run) -> int:
    try:
        return int((run.folder / "offset").read_text())
    except (OSError, ValueError):
        return 0
