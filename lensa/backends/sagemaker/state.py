"""A training job as DescribeTrainingJob tells it, in our words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lensa.backends.base import Status
from lensa.backends.sagemaker.failures import advice

# SecondaryStatus -> the phase that a user is shown.
PHASES = {
    "Starting": "starting",
    "Pending": "starting",
    "LaunchingMLInstances": "starting",
    "PreparingTrainingStack": "starting",
    "Restarting": "starting",
    "Downloading": "downloading",
    "DownloadingTrainingImage": "downloading",
    "Training": "training",
    "Uploading": "uploading",
    "Stopping": "stopping",
    "Interrupted": "interrupted",
}

_PAID = {"Downloading", "DownloadingTrainingImage", "Training", "Uploading"}

_LIMITS = {
    "MaxRuntimeExceeded": "it reached its time limit (max_hours, or what the budget pays for)",
    "MaxWaitTimeExceeded": "no spot capacity came in time (max_wait_hours)",
}

_STATUS: dict[str, Status] = {
    "InProgress": "running",
    "Stopping": "running",
    "Completed": "completed",
    "Stopped": "stopped",
    "Failed": "failed",
}


@dataclass(frozen=True)
class JobState:
    """What is asked of AWS about a job, once."""

    name: str
    status: Status
    phase: str
    created: datetime
    reason: str  # of a failure or of a limit, with what to do
    base: str
    steps: int
    instance_type: str
    spot: bool
    billable_seconds: float  # so far
    elapsed_seconds: float  # since it was created, until it ended
    max_seconds: int  # that it may run

    @property
    def ended(self) -> bool:
        return self.status != "running"


def job_state(description: dict[str, Any], now: datetime | None = None) -> JobState:
    """Read a description. `now` is the time of the answer."""
    now = now or datetime.now(UTC)
    secondary = description.get("SecondaryStatus", "")
    parameters = description.get("HyperParameters", {})
    created = description["CreationTime"]
    steps = parameters.get("steps", "")
    return JobState(
        name=description["TrainingJobName"],
        status=_STATUS.get(description["TrainingJobStatus"], "running"),
        phase=PHASES.get(secondary, secondary.lower() or "starting"),
        created=created,
        reason=_reason(description.get("FailureReason", ""), secondary),
        base=parameters.get("base", ""),
        steps=int(steps) if steps.isdigit() else 0,
        instance_type=description["ResourceConfig"]["InstanceType"],
        spot=bool(description.get("EnableManagedSpotTraining")),
        billable_seconds=_billable(description, now),
        elapsed_seconds=max((_end(description, now) - created).total_seconds(), 0.0),
        max_seconds=description.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 0),
    )


def _end(description: dict[str, Any], now: datetime) -> datetime:
    """Return when the job ended; of one that runs, now. One that never had a machine has no end of
    its training."""
    if _STATUS.get(description["TrainingJobStatus"], "running") == "running":
        return now
    end: datetime = description.get("TrainingEndTime") or description.get("LastModifiedTime", now)
    return end


def _billable(description: dict[str, Any], now: datetime) -> float:
    """Return the seconds paid for. Until AWS counts them: those in which there was a machine, which
    leaves out the wait of a spot job."""
    if "BillableTimeInSeconds" in description:
        return float(description["BillableTimeInSeconds"])
    spent: float = sum(
        max(((one.get("EndTime") or now) - one["StartTime"]).total_seconds(), 0.0)
        for one in description.get("SecondaryStatusTransitions", [])
        if one["Status"] in _PAID
    )
    return spent


def _reason(failure: str, secondary: str) -> str:
    if secondary in _LIMITS:
        return f"{_LIMITS[secondary]}."
    if not failure:
        return ""
    words = re.sub(r"^(AlgorithmError|ClientError): (?=\S)", "", failure)
    words = re.sub(r",? ?exit code: [0-3]$", "", words.strip()).strip()
    return f"{words}{advice(failure)}"
