"""The jobs and avatars that the account holds, found again by name, subject or id."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lensa.backends.base import JobInfo, Subject
from lensa.backends.sagemaker import keys, subjects
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.state import JobState, job_state
from lensa.backends.sagemaker.transfer import Store
from lensa.contract.names import JOB
from lensa.errors import NotFoundError, suggest

_THREADS = 4  # DescribeTrainingJob is throttled early
_PREFIX = "lensa-"


class Catalogue:
    """Asks AWS every time: it holds the state."""

    def __init__(self, account: Account, store: Store, home: Path) -> None:
        self._account, self._store, self._home = account, store, home

    def state(self, job: str) -> JobState:
        """Raise NotFoundError if there is no such job (any more)."""
        return job_state(self.describe(job))

    def describe(self, job: str) -> dict[str, Any]:
        client = self._account.client("sagemaker")
        with explained("asking for the training job"):
            try:
                description: dict[str, Any] = client.describe_training_job(TrainingJobName=job)
            except client.exceptions.ClientError as error:
                if "not found" not in str(error).lower():
                    raise
                raise NotFoundError(
                    f"there is no training job {job!r} in {self._account.region} of this account. "
                    "lensa jobs lists them."
                ) from None
        return description

    def names(self, contains: str = _PREFIX) -> Iterator[str]:
        """Yield the names of our jobs, the newest first."""
        with explained("listing training jobs"):
            pages = (
                self._account.client("sagemaker")
                .get_paginator("list_training_jobs")
                .paginate(
                    NameContains=contains,
                    SortBy="CreationTime",
                    SortOrder="Descending",
                    PaginationConfig={"PageSize": 100},
                )
            )
            for page in pages:
                for summary in page["TrainingJobSummaries"]:
                    if JOB.fullmatch(summary["TrainingJobName"]):
                        yield summary["TrainingJobName"]

    def latest_attempt(self, training: str) -> JobState | None:
        """Return the latest attempt at a training, or None before the first."""
        found = list(self.names(training))
        return self.state(max(found, key=keys.attempt_of)) if found else None

    def info(self, job: str) -> JobInfo:
        return self._info(self.state(job), self._subject(keys.subject_of(job)))

    def infos(self) -> list[JobInfo]:
        with ThreadPoolExecutor(_THREADS) as pool:
            states = list(pool.map(self._state_or_none, self.names()))
        owners = {keys.subject_of(state.name): None for state in states if state is not None}
        subjects_by_id = {one: self._subject(one) for one in owners}
        return [
            self._info(state, subjects_by_id[keys.subject_of(state.name)])
            for state in states
            if state is not None
        ]

    def _state_or_none(self, job: str) -> JobState | None:
        try:
            return self.state(job)
        except NotFoundError:  # deleted since it was listed
            return None

    def finished(self, avatar: str) -> str:
        """Return the job that made an avatar: by its name, or the latest one of a subject by name
        or id. NotFoundError if there is none."""
        if JOB.fullmatch(avatar):
            if self._store.read(keys.manifest(avatar)) is not None:
                return avatar
            status = self.state(avatar).status
            raise NotFoundError(f"{avatar!r} is not trained yet: it is {status}.")
        subject_id = self._subject_id(avatar)
        jobs = list(self.names(f"{_PREFIX}{subject_id}-"))
        for job in jobs:
            if self._store.read(keys.manifest(job)) is not None:
                return job
        if jobs:
            raise NotFoundError(
                f"{avatar!r} is not trained yet: {jobs[0]} is {self.state(jobs[0]).status}."
            )
        raise NotFoundError(f"there is no avatar of {avatar!r} yet.")

    def _subject_id(self, name: str) -> str:
        known = subjects.in_bucket(self._store)
        for subject in known:
            if name in {subject.name, subject.id}:
                return subject.id
        names = {subject.name for subject in known}
        hint = suggest(name, names) if names else " There are none yet: see lensa train --help."
        raise NotFoundError(f"there is no avatar {name!r}.{hint}")

    def _subject(self, subject_id: str) -> Subject:
        return subjects.find(self._home, self._store, subject_id)

    def _info(self, state: JobState, subject: Subject) -> JobInfo:
        return JobInfo(
            name=state.name,
            subject=subject,
            status=state.status,
            created=state.created,
            base=state.base,
            steps=state.steps,
            reason=state.reason,
        )
