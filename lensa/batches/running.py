"""The rows of a batch, some at a time: a job each, followed to its gallery.

Nothing is kept beside the jobs: each row's is named after what it is made of, so whoever starts the
same file again finds what runs and what is finished, and goes on with the rest.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lensa.backends.sagemaker.refusals import used_up
from lensa.batches.galleries import bring, drawn
from lensa.batches.outcome import ENDED, Outcome
from lensa.batches.rows import Row
from lensa.client import Client
from lensa.contract.events import Event, NoticeEvent, PhaseEvent, ProgressEvent, StageEvent
from lensa.errors import BusyError, LensaError, TrainingStopped

_PATIENCE_SECONDS = 3600.0  # with a quota that others hold
_MOST_NOTES = 20  # of a row
_LEAVE_SECONDS = 10.0  # for the answer to a job that is being started

OnChange = Callable[[Outcome], None]


class _Left(BaseException):
    """Nobody follows this row any more. Not an Exception: the job itself goes on."""


class Running:
    """Runs rows in threads of its own, `parallel` at a time."""

    def __init__(
        self,
        client: Client,
        rows: Sequence[Row],
        out: Path,
        *,
        parallel: int,
        confirmed: bool = False,
    ) -> None:
        """`confirmed`: the user was asked, and photos may be uploaded. Else the call says so."""
        self.client, self.out, self.parallel = client, out, parallel
        self.rows = list(rows)
        self.outcomes = [Outcome(row.line, row.subject, row.asked.count) for row in self.rows]
        self._here = client.backend.name == "local"
        self._confirm = (lambda upload: True) if confirmed else None
        self.on_change: OnChange = lambda outcome: None
        self._left = threading.Event()
        self._changed = threading.Condition()
        self._starting: set[str] = set()  # subjects whose job may come to be just now
        self._free = 0  # how many rows have ended: what waits for a quota looks again then

    def run(self) -> list[Outcome]:
        """Return what became of each row, when all have ended.

        Ctrl-C leaves jobs on AWS running, and stops those of this machine with a checkpoint. Raises
        TrainingStopped then, which says what runs on.
        """
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(self.rows)):
            waiting.put(number)
        threads = [
            # Daemons: Ctrl-C does not wait for an upload, or for the next look at a job.
            threading.Thread(target=self._work, args=(waiting,), daemon=True, name=f"batch-{n}")
            for n in range(min(self.parallel, len(self.rows)))
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # Ctrl-C is seen between two of these
        except KeyboardInterrupt:
            raise TrainingStopped(self._leave()) from None
        return self.outcomes

    def _work(self, waiting: queue.SimpleQueue[int]) -> None:
        from lensa.photos.showing.progress import untold

        with untold():
            while not self._left.is_set():
                try:
                    number = waiting.get_nowait()
                except queue.Empty:
                    return
                row, outcome = self.rows[number], self.outcomes[number]
                try:
                    self._one(row, outcome)
                    outcome.status = "done"
                except _Left:
                    return
                except LensaError as error:
                    outcome.status, outcome.error = "failed", str(error)
                except Exception as error:  # a bug of ours in one row is not the others' end
                    outcome.status, outcome.error = "failed", f"{type(error).__name__}: {error}"
                if outcome.began is not None:
                    outcome.seconds = time.monotonic() - outcome.began
                with self._changed:
                    self._free += 1
                    self._changed.notify_all()
                self._tell(outcome)

    def _one(self, row: Row, outcome: Outcome) -> None:
        def hear(event: Event) -> None:
            if self._left.is_set():
                raise _Left
            self._note(outcome, event)

        self._enter(outcome, "starting")
        job = self.client.attach(self._start(row, outcome, hear))
        self._enter(outcome, "running", outcome.detail)
        # Of its own jobs AWS tells how long they took; nobody does of one that was finished here.
        if self._here and job.status != "completed":
            outcome.began = time.monotonic()
        avatar = job.wait(hear)
        outcome.avatar = avatar.id
        self._enter(outcome, "running", "bringing the gallery")
        folder = self.out / row.subject
        paths = bring(avatar, row.asked.items, folder)
        outcome.images = [path.relative_to(self.out).as_posix() for path in paths]
        drew = "1 image" if len(paths) == 1 else f"{len(paths)} images"
        outcome.detail = drew if row.asked.count else "no gallery is asked for"
        missing = [
            item for item in row.asked.items if len(drawn(avatar.manifest, item)) < item.count
        ]
        if missing:
            command = row.asked.command(avatar.id, missing, str(folder))
            outcome.missing = (
                f"{row.asked.count - len(paths)} of {row.asked.count} images are not in the "
                f"avatar. What draws them: {command}{self.client.backend.flags}"
            )

    def _start(self, row: Row, outcome: Outcome, hear: Callable[[Event], None]) -> str:
        """Start the row's job, or find it, and note its name. A quota that is used up, or a subject
        that another client trains, is waited for."""
        since = time.monotonic()
        while True:
            free = self._free
            try:
                with self._told_when_left(outcome):
                    outcome.job = self.client.train(
                        row.photos,
                        subject=row.subject,
                        wait=False,
                        on_event=hear,
                        confirm=self._confirm,
                        **row.options,
                    ).name
                return outcome.job
            except LensaError as error:
                if not (used_up(error) or isinstance(error, BusyError)):
                    raise
                alone = all(other.status != "running" for other in self.outcomes)
                if alone and time.monotonic() - since > _PATIENCE_SECONDS:
                    raise
                reason = str(error).splitlines()[0].partition(", and this would exceed")[0]
                self._enter(outcome, "waiting", f"for its turn: {reason}")
            seconds = 6 * self.client.settings.poll_seconds
            with self._changed:
                self._changed.wait_for(
                    lambda: self._free > free or self._left.is_set(),  # noqa: B023
                    seconds,
                )

    @contextmanager
    def _told_when_left(self, outcome: Outcome) -> Iterator[None]:
        """What is started within is told of by `_leave`, which waits for it."""
        with self._changed:
            if self._left.is_set():
                raise _Left
            self._starting.add(outcome.subject)
        try:
            yield
        finally:
            with self._changed:
                self._starting.remove(outcome.subject)
                self._changed.notify_all()

    def _note(self, outcome: Outcome, event: Event) -> None:
        if isinstance(event, ProgressEvent):
            outcome.detail = f"{event.stage} {event.step}/{event.of}"
            if event.stage == "uploading":
                outcome.detail = f"uploading {event.step / 1e6:.1f}/{event.of / 1e6:.1f} MB"
        elif isinstance(event, StageEvent):
            outcome.detail = event.stage
        elif isinstance(event, PhaseEvent):
            outcome.seconds = event.seconds
            outcome.dollars = outcome.dollars if event.dollars is None else event.dollars
            if event.phase != "training":  # in which the job speaks for itself
                outcome.detail = event.phase
        elif isinstance(event, NoticeEvent):
            # What is said before there is a job was said of the whole batch.
            if outcome.status == "running" and len(outcome.notes) < _MOST_NOTES:
                outcome.notes.append(event.message)
            return
        else:
            return
        self._tell(outcome)

    def _enter(self, outcome: Outcome, status: str, detail: str = "") -> None:
        outcome.status, outcome.detail = status, detail  # type: ignore[assignment]
        self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        with self._changed:
            self.on_change(outcome)

    def _leave(self) -> str:
        """Let go of every row, and say what becomes of them."""
        with self._changed, suppress(KeyboardInterrupt):  # who asks twice does not wait
            self._left.set()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._starting, _LEAVE_SECONDS)
        unknown = sorted(self._starting)
        running = [one for one in self.outcomes if one.job and one.status not in ENDED]
        if self._here:
            for one in running:
                self.client.backend.stop(str(one.job))
            what = "Its trainings are stopped, each with a checkpoint."
        elif running:
            jobs = "".join(f"\n  {one.subject}: {one.job}" for one in running)
            stop = f"lensa stop JOB{self.client.backend.flags}"
            what = f"These run on, and are paid for; {stop} ends one:{jobs}\n"
        else:
            what = "Nothing runs."
        if unknown:
            names = ", ".join(unknown)
            listed = f"lensa jobs{self.client.backend.flags}"
            asked = f"It is not known yet whether a job came to be of {names}: {listed} tells."
            what = f"{what} {asked}" if running else asked
        return f"The batch was left. {what} The same call goes on from here."
