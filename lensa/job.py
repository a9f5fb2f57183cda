"""A training job: a handle that can be lost and found again."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import Any

from lensa import errors
from lensa.avatar import Avatar
from lensa.backends.base import Backend, JobInfo, Status
from lensa.contract.events import EndEvent, Event, parse_event
from lensa.errors import LensaError, TrainingError, TrainingStopped, UserError

_LAST_LINES = 6  # of the log, in an error


class TrainingJob:
    """A training job by its name. The backend holds its state, so any process can attach to it."""

    def __init__(self, name: str, backend: Backend) -> None:
        self.name = name
        self._backend = backend

    def command(self, verb: str) -> str:
        """Return the command line that does something with this job: "logs -f", "stop"."""
        return f"lensa {verb} {self.name}{self._backend.flags}"

    @property
    def info(self) -> JobInfo:
        return self._backend.job(self.name)

    @property
    def status(self) -> Status:
        return self.info.status

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """Yield the job's log lines; with `follow`, until it ends."""
        return self._backend.log(self.name, follow=follow)

    def stop(self) -> None:
        """Stop the job with a checkpoint saved; training the same again goes on from it."""
        self._backend.stop(self.name)

    def sdk(self) -> Any:
        """Return the job as `sagemaker.core.resources.TrainingJob`, a resource of AWS's own SDK.

        Raises ConfigError without `lensa[sagemaker]`, and for jobs of this machine.
        """
        return self._backend.sdk(self.name)

    def wait(self, on_event: Callable[[Event], None] | None = None) -> Avatar:
        """Follow the job to its end and return the avatar.

        Ctrl-C stops the job, with a checkpoint saved. Raises TrainingStopped if it was stopped,
        TrainingError if it failed or its process is gone, or the UserError that ended it.
        """
        end: EndEvent | None = None
        try:
            for event in self._backend.events(self.name):
                end = event if isinstance(event, EndEvent) else end
                if on_event is not None:
                    on_event(event)
        except KeyboardInterrupt:
            self.stop()
            raise TrainingStopped(self._stopped_message()) from None
        info = self.info
        if info.status == "completed":
            return Avatar(self.name, self._backend)
        if info.status == "stopped":
            raise TrainingStopped(self._stopped_message(info.reason))
        if info.status == "failed" or (end is not None and end.status == "failed"):
            raise self._failure(end, info.reason)
        raise TrainingError(
            f"{self.name} was interrupted: its process is gone and left no reason (killed, or out "
            f"of memory). The same call goes on from its last checkpoint; its log: "
            f"{self.command('logs')}"
        )

    def _stopped_message(self, reason: str = "") -> str:
        why = f": {reason}" if reason else "."
        return f"{self.name} is stopped{why} The same call goes on from its checkpoint."

    def _failure(self, end: EndEvent | None, reason: str) -> LensaError:
        """Return the error that ended the job in its own kind, if it is one of ours; else with the
        last lines that it printed."""
        message = reason or (end.message if end is not None else "")
        kind = getattr(errors, end.error, None) if end is not None and end.error else None
        if isinstance(kind, type) and issubclass(kind, UserError):
            return kind(message)
        log = self._backend.log(self.name, follow=False, whole=False)
        last = [line for line in log if line.strip() and parse_event(line) is None][-_LAST_LINES:]
        said = "".join(f"\n  | {line}" for line in last)
        return TrainingError(
            f"{self.name} failed: {message}"
            + (f" Its last lines:{said}\n" if said else " ")
            + f"Its log: {self.command('logs')}"
        )

    def __repr__(self) -> str:
        return f"<TrainingJob {self.name}>"

    def _repr_html_(self) -> str:
        """Where it is; the avatar with its report, as soon as there is one."""
        try:
            status = self.status
        except LensaError:
            return f"<div>{html.escape(self.name)}</div>"
        if status == "completed":
            return Avatar(self.name, self._backend)._repr_html_()
        return f"<div>{html.escape(self.name)}: {status}</div>"
