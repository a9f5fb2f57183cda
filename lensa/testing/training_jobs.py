"""SageMaker's operations on training jobs, as AWS answers them."""

from __future__ import annotations

import threading
from typing import Any

from lensa.testing.account import page, quota_exceeded, training_quota
from lensa.testing.answers import AwsError
from lensa.testing.constraints import check_training_job
from lensa.testing.job import ENDED, TwinJob
from lensa.testing.operations import Call
from lensa.testing.runner import Runner
from lensa.testing.sites import Site

_ORDERS = {
    "CreationTime": lambda job: (job.created, job.name),
    "Name": lambda job: job.name,
    "Status": lambda job: (job.status, job.name),
}


class TrainingApi:
    """Every training job of one twin."""

    def __init__(self, site: Site, quotas: dict[str, float]) -> None:
        self._site, self._quotas = site, quotas
        self._jobs: dict[tuple[str, str], TwinJob] = {}  # (region, name)
        self._runners: list[Runner] = []
        self._lock = threading.Lock()

    def jobs(self) -> dict[str, TwinJob]:
        with self._lock:
            return {name: job for (_, name), job in self._jobs.items()}

    def close(self) -> None:
        with self._lock:
            runners, self._runners = self._runners, []
        for runner in runners:
            runner.job.closing = True
        for runner in runners:
            runner.close()

    # --- the API ---

    def create(self, call: Call) -> dict[str, Any]:
        request = check_training_job(call.parameters)
        name, resources = request["TrainingJobName"], request["ResourceConfig"]
        with self._lock:
            if (call.region, name) in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a "
                    "training job with this name already exists "
                    f"({self._jobs[call.region, name].arn})",
                )
            spot = bool(request.get("EnableManagedSpotTraining"))
            instance = resources["InstanceType"]
            quota = training_quota(instance, spot)
            used = sum(
                1
                for job in self._jobs.values()
                if not job.done
                and job.spot == spot
                and job.request["ResourceConfig"]["InstanceType"] == instance
            )
            limit = self._quotas.get(quota, 0.0)
            if used + 1 > limit:
                raise quota_exceeded(quota, limit, used, 1)
            job = TwinJob(request, call.region, self._site.clock)
            runner = Runner(job, self._site)
            self._jobs[call.region, name] = job
            self._runners.append(runner)
        runner.start()
        return {"TrainingJobArn": job.arn}

    def describe(self, call: Call) -> dict[str, Any]:
        return self._find(call).describe()

    def list(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        with self._lock:
            jobs = [job for (region, _), job in self._jobs.items() if region == call.region]
        found = [job for job in jobs if not self._lost(job) and _matches(job, asked)]
        found.sort(
            key=_ORDERS[asked.get("SortBy", "CreationTime")],
            reverse=asked.get("SortOrder") == "Descending",
        )
        answer = page(found, asked, "TrainingJobSummaries", 10)
        answer["TrainingJobSummaries"] = [job.summary() for job in answer["TrainingJobSummaries"]]
        return answer

    def stop(self, call: Call) -> dict[str, Any]:
        job = self._find(call)
        if job.status in ENDED:
            raise AwsError(
                "ValidationException",
                f"The request was rejected because the training job is in status {job.status}.",
            )
        job.stop()
        return {}

    def delete(self, call: Call) -> dict[str, Any]:
        job = self._find(call)
        pool = job.warm_pool() or {}
        if job.status not in ENDED or pool.get("Status") == "Available":
            what = "has a warm pool" if job.status in ENDED else f"is in status {job.status}"
            raise AwsError(
                "ResourceInUse", f"The request was rejected because the training job {what}."
            )
        with self._lock:
            self._jobs.pop((job.region, job.name), None)
        return {}

    def tags_of(self, arn: str) -> dict[str, str] | None:
        """Return the tags of a job, to be read or changed; None if there is no such job."""
        with self._lock:
            job = next((job for job in self._jobs.values() if job.arn == arn), None)
        return None if job is None or self._lost(job) else job.tags

    # --- which job ---

    def _find(self, call: Call) -> TwinJob:
        with self._lock:
            job = self._jobs.get((call.region, call.parameters["TrainingJobName"]))
        if job is None or self._lost(job):
            raise _unknown()
        return job

    def _lost(self, job: TwinJob) -> bool:
        """Say whether the job has disappeared by a fault."""
        if self._site.faults.take("lose", job.name, job.step) is None:
            return False
        with self._lock:
            self._jobs.pop((job.region, job.name), None)
        job.closing = True  # its container ends with it
        job.wake.set()
        return True


def _unknown() -> AwsError:
    return AwsError("ValidationException", "Requested resource not found.")


def _matches(job: TwinJob, asked: dict[str, Any]) -> bool:
    created, modified = job.created.timestamp(), job.modified.timestamp()
    pool = (job.warm_pool() or {}).get("Status")
    return (
        asked.get("NameContains", "") in job.name
        and asked.get("StatusEquals", job.status) == job.status
        and asked.get("WarmPoolStatusEquals", pool) == pool
        and asked.get("CreationTimeAfter", float("-inf")) <= created
        and asked.get("CreationTimeBefore", float("inf")) >= created
        and asked.get("LastModifiedTimeAfter", float("-inf")) <= modified
        and asked.get("LastModifiedTimeBefore", float("inf")) >= modified
    )
