"""The run folder of a local job, and what its files say about the job.

jobs/<name>/job.json        what was asked for
jobs/<name>/log.txt         what the trainer printed, over all its starts
jobs/<name>/opt/ml/         the container layout
subjects/<id>/subject.json  the user's name for the subject
subjects/<id>/training.lock held by the trainer as long as it lives; notes the job and its pid
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lensa.backends.base import JobInfo, Status
from lensa.backends.disk import make_folder, write_whole
from lensa.backends.locks import Lock
from lensa.backends.subjects import find_subject
from lensa.contract import MANIFEST, Layout
from lensa.contract.events import EndEvent, parse_event
from lensa.errors import NotFoundError, suggest


@dataclass(frozen=True)
class Run:
    """One job's folder."""

    home: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.home / "jobs" / self.name

    @property
    def layout(self) -> Layout:
        return Layout(self.folder / "opt" / "ml")

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def facts_file(self) -> Path:
        return self.folder / "job.json"

    @property
    def facts(self) -> dict[str, Any]:
        """job.json; NotFoundError if there is no such job."""
        try:
            facts: dict[str, Any] = json.loads(self.facts_file.read_bytes())
        except FileNotFoundError:
            known = [run.name for run in all_runs(self.home)]
            raise NotFoundError(
                f"there is no job {self.name!r}.{suggest(self.name, known)}"
            ) from None
        return facts

    @property
    def lock(self) -> Lock:
        """The training lock of the job's subject."""
        return training_lock(self.home, self.facts["subject_id"])

    def pid(self) -> int | None:
        """The living trainer's process id, or None."""
        holder = self.lock.holder()
        if holder is None:
            return None
        name, _, pid = holder.partition(" ")
        return int(pid) if name == self.name and pid.isdigit() else None

    def running(self) -> bool:
        holder = self.lock.holder()
        return holder is not None and holder.partition(" ")[0] == self.name

    def status(self) -> Status:
        if (self.layout.model / MANIFEST).is_file():
            return "completed"
        if self.running():
            return "running"
        if self.layout.failure.is_file():
            return "failed"
        end = self.end()
        return "stopped" if end is not None and end.status == "stopped" else "interrupted"

    def end(self) -> EndEvent | None:
        """The end that the latest start announced, if it came so far."""
        for line in reversed(_tail(self.log)):
            event = parse_event(line)
            if event is not None:
                return event if isinstance(event, EndEvent) else None
        return None

    def info(self) -> JobInfo:
        facts, status = self.facts, self.status()
        reason = self.layout.failure.read_text(errors="replace") if status == "failed" else ""
        return JobInfo(
            name=self.name,
            subject=find_subject(self.home, facts["subject_id"]),
            status=status,
            created=datetime.fromisoformat(facts["created"]),
            base=facts["base"],
            steps=facts["steps"],
            reason=reason,
        )

    def create(self, facts: dict[str, Any]) -> None:
        """Make the folder and `job.json`."""
        make_folder(self.folder)
        facts = {**facts, "created": datetime.now(UTC).isoformat()}
        write_whole(self.facts_file, json.dumps(facts, indent=2).encode())

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def all_runs(home: Path) -> list[Run]:
    folder = home / "jobs"
    if not folder.is_dir():
        return []
    return [Run(home, path.name) for path in folder.iterdir() if (path / "job.json").is_file()]


def training_lock(home: Path, subject_id: str) -> Lock:
    return Lock(home / "subjects" / subject_id / "training.lock")


def _tail(path: Path, size: int = 65536) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
