"""What DescribeTrainingJob says, in our words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.state import job_state

START = datetime(2026, 1, 1, tzinfo=UTC)


def described(**changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": "lensa-7k2m0000-1f3a9c2e",
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Training",
        "CreationTime": START,
        "HyperParameters": {"base": "mini", "steps": "300"},
        "ResourceConfig": {"InstanceType": "ml.g5.2xlarge"},
        **changes,
    }


@pytest.mark.parametrize(
    ("secondary", "phase"),
    [
        ("Starting", "starting"),
        ("Downloading", "downloading"),
        ("Training", "training"),
        ("Uploading", "uploading"),
        ("Interrupted", "interrupted"),
        ("Restarting", "starting"),
        ("SomethingNew", "somethingnew"),
    ],
)
def test_every_status_is_a_phase(secondary: str, phase: str) -> None:
    assert job_state(described(SecondaryStatus=secondary)).phase == phase


def test_a_job_is_paid_for_from_when_its_machine_is_there() -> None:
    now = START + timedelta(minutes=10)
    assert job_state(described(), now).billable_seconds == 0

    def at(status: str, begun: float, ended: float | None = None) -> dict[str, Any]:
        end = {} if ended is None else {"EndTime": START + timedelta(minutes=ended)}
        return {"Status": status, "StartTime": START + timedelta(minutes=begun), **end}

    spot = described(
        SecondaryStatusTransitions=[
            at("Starting", 0, 2),
            at("Downloading", 2, 3),
            at("Training", 3, 4),
            at("Interrupted", 4, 8),  # waiting for a machine costs nothing
            at("Training", 8),
        ]
    )
    assert job_state(spot, now).billable_seconds == 4 * 60
    assert job_state({**spot, "BillableTimeInSeconds": 90}, now).billable_seconds == 90


@pytest.mark.parametrize(
    ("failure", "reason", "advice"),
    [
        (
            "AlgorithmError: the GPU is out of memory. Train a LoRA, exit code: 1",
            "the GPU is out of memory. Train a LoRA",
            "",
        ),
        ("AlgorithmError: , exit code: 137", "exit code: 137", "own memory ran out"),
        (
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using "
            "a different ML instance type.",
            "CapacityError",
            "start it again later",
        ),
        (
            "ClientError: Data download failed: Please ensure that the bucket exists",
            "Data download failed",
            "start the same training again",
        ),
        ("InternalServerError: We encountered an internal error", "internal error", "AWS's own"),
        (
            "AlgorithmError: sd15 is gated: accept its terms, exit code: 2",
            "is gated",
            "hub_secret=ARN",
        ),
    ],
)
def test_a_failure_is_told_with_what_to_do(failure: str, reason: str, advice: str) -> None:
    state = job_state(
        described(TrainingJobStatus="Failed", SecondaryStatus="Failed", FailureReason=failure)
    )
    assert state.status == "failed"
    assert reason in state.reason
    assert advice in state.reason
    assert "exit code: 1," not in state.reason


@pytest.mark.parametrize(
    ("secondary", "words"),
    [("MaxRuntimeExceeded", "max_hours"), ("MaxWaitTimeExceeded", "no spot capacity")],
)
def test_a_limit_that_was_reached_is_named(secondary: str, words: str) -> None:
    state = job_state(described(TrainingJobStatus="Stopped", SecondaryStatus=secondary))
    assert state.status == "stopped"
    assert words in state.reason


def test_attempts_share_their_checkpoints_and_their_subject() -> None:
    first, third = "lensa-7k2m0000-1f3a9c2e", "lensa-7k2m0000-1f3a9c2e-3"
    assert keys.attempt(first, 1) == first
    assert keys.attempt(first, 3) == third
    assert [keys.attempt_of(name) for name in (first, third)] == [1, 3]
    assert keys.checkpoints(first) == keys.checkpoints(third) == f"checkpoints/{first}"
    assert keys.subject_of(third) == "7k2m0000"
    assert keys.model(third) == f"avatars/{third}/output/model"
