"""Nothing that a job says is lost, whatever AWS does in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from cloud import settle, train

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.follow import Follower, Pause
from lensa.backends.sagemaker.logs import GROUP, LogReader
from lensa.backends.sagemaker.state import JobState, job_state
from lensa.client import Client
from lensa.contract.events import EndEvent, Event, NoticeEvent, ValidationEvent
from lensa.errors import ArtifactError, ServiceError, TrainingError
from lensa.testing import SagemakerTwin

JOB = "lensa-7k2m0000-1f3a9c2e"


@pytest.fixture
def write(sagemaker_twin: SagemakerTwin) -> Callable[[str, list[str]], None]:
    """Write lines to a stream of the job's log."""
    logs = sagemaker_twin.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    made: set[str] = set()

    def write(stream: str, lines: list[str]) -> None:
        name = f"{JOB}/{stream}"
        if name not in made:
            logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
            made.add(name)
        now = int(sagemaker_twin.clock.timestamp() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines]
        logs.put_log_events(logGroupName=GROUP, logStreamName=name, logEvents=events)

    return write


def test_before_the_first_line_there_is_none(sagemaker_twin: SagemakerTwin) -> None:
    assert LogReader(Account(), JOB).new() == []


def test_each_line_is_read_once_over_all_machines(
    write: Callable[[str, list[str]], None],
) -> None:
    reader = LogReader(Account(), JOB)
    write("algo-1-1", ["one", "two"])
    assert reader.new() == ["one", "two"]
    assert reader.new() == []
    write("algo-1-2", ["three"])
    write("algo-1-1", ["late"])
    assert sorted(reader.new()) == ["late", "three"]


def test_what_was_read_before_a_failure_is_not_lost(
    write: Callable[[str, list[str]], None],
) -> None:
    write("algo-1-1", ["one"])
    write("algo-1-2", ["two"])
    account = Account()
    calls: list[str] = []

    def break_the_third(params: dict[str, Any], **_: Any) -> None:
        calls.append("")
        if len(calls) == 3:  # the first stream is read to its end
            raise EndpointConnectionError(endpoint_url="logs")

    events = account.client("logs").meta.events
    events.register("before-call.cloudwatch-logs.GetLogEvents", break_the_third)
    reader = LogReader(account, JOB)
    with pytest.raises(ServiceError):
        reader.new()
    assert reader.new() == ["one", "two"]


def test_an_expired_token_repeats_no_line(
    sagemaker_twin: SagemakerTwin, write: Callable[[str, list[str]], None]
) -> None:
    reader = LogReader(Account(), JOB)
    write("algo-1-1", ["one", "two"])
    assert reader.new() == ["one", "two"]
    write("algo-1-1", ["three"])
    sagemaker_twin.faults.fail("GetLogEvents", "InvalidParameterException", "expired token")
    assert reader.new() == ["three"]


def state(status: str, billable: float = 1.0) -> JobState:
    described = {
        "TrainingJobName": JOB,
        "TrainingJobStatus": status,
        "SecondaryStatus": "Training",
        "CreationTime": job_time(),
        "ResourceConfig": {"InstanceType": "ml.g5.2xlarge"},
    }
    return replace(job_state(described), billable_seconds=billable)


def job_time() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def follow(polls: list[tuple[str, list[Event]]], fetch: Any = lambda images: []) -> list[Event]:
    """Follow a job that is in these states and says these things, poll after poll."""
    script = iter(polls)
    said: list[str] = []

    def now() -> JobState:
        status, events = next(script, ("Completed", []))
        said.extend(event.line() for event in events)
        return state(status)

    def read() -> list[str]:
        lines, said[:] = list(said), []
        return lines

    follower = Follower(state=now, read=read, pause=Pause(0.001))
    events: Iterator[Event] = follower.events(hourly=lambda instance: 1.0, fetch=fetch)
    return [event for event in events if event.event != "phase"]


def test_an_interrupted_machines_end_is_not_the_jobs_end() -> None:
    interrupted, goes_on = EndEvent(status="stopped"), NoticeEvent(message="resumed")
    last = EndEvent(status="completed", step=4)
    heard = follow(
        [
            ("InProgress", [interrupted]),
            ("InProgress", [goes_on]),
            ("Completed", []),  # the log is late
            ("Completed", [last]),
        ]
    )
    assert heard == [interrupted, goes_on, last]


def test_images_are_asked_for_until_they_are_there() -> None:
    answers = iter([ServiceError("no answer"), None, [Path("/here/0.png")]])

    def fetch(images: list[str]) -> list[Path] | None:
        answer = next(answers)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    drawn = ValidationEvent(step=2, images=["validation/step-000002/0.png"])
    end = EndEvent(status="completed")
    heard = follow([("InProgress", [drawn]), ("InProgress", []), ("Completed", [end])], fetch)
    assert [event for event in heard if isinstance(event, ValidationEvent)] == [
        ValidationEvent(step=2, images=["/here/0.png"])
    ]


def test_a_log_line_leads_to_no_file_elsewhere(
    sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch, isolated: Path
) -> None:
    settle(sagemaker_twin, monkeypatch)
    key = f"lensa/checkpoints/{JOB}/../../../evil"
    sagemaker_twin.client("s3").put_object(Bucket=sagemaker_twin.bucket, Key=key, Body=b"x")
    backend: Any = Client().backend
    with pytest.raises(ArtifactError, match="outside"):
        backend._fetch(JOB, ["../../../evil"])
    assert not list(isolated.rglob("evil"))


def test_a_model_that_could_not_be_uploaded_costs_no_training(
    sagemaker_twin: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(sagemaker_twin, monkeypatch)
    sagemaker_twin.faults.fail_upload()
    with pytest.raises(TrainingError, match="Artifact upload failed"):
        train(photos)
    avatar = train(photos)
    assert avatar.id.endswith("-2")
    log = sagemaker_twin.jobs[avatar.id].log
    assert any("resumed from the checkpoint at step 4" in line for line in log)
    assert avatar.manifest.steps_trained == 4
