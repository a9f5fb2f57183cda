"""A job at its limits: its time, its network, its place as process 1. Minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest
from cloud import settle, train
from requirements import need_process_one

from lensa.contract.events import NoticeEvent
from lensa.testing import SagemakerTwin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_before_its_time_is_over_the_job_exports_what_it_has(
    sagemaker_twin: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(sagemaker_twin, monkeypatch)
    events: list[object] = []
    avatar = train(photos, steps=20_000, max_hours=200 / 3600, validation_every=0, events=events)
    notices = [event.message for event in events if isinstance(event, NoticeEvent)]
    assert any("of 20000" in notice for notice in notices), notices
    assert 0 < avatar.manifest.steps_trained < 20_000
    description = sagemaker_twin.client("sagemaker").describe_training_job(
        TrainingJobName=avatar.id
    )
    assert description["TrainingJobStatus"] == "Completed"


def test_an_isolated_job_gets_everything_from_the_bucket(
    sagemaker_twin: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(sagemaker_twin, monkeypatch)
    avatar = train(photos, base="mini", steps=2, class_images=1, network_isolation=True,
                   tracker="wandb")  # fmt: skip
    job = sagemaker_twin.jobs[avatar.id]
    code = next(
        channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in job.request["InputDataConfig"]
        if channel["ChannelName"] == "code"
    )
    listed = sagemaker_twin.client("s3").list_objects_v2(
        Bucket=sagemaker_twin.bucket, Prefix=code.removeprefix(f"s3://{sagemaker_twin.bucket}/")
    )
    wheels = [item["Key"] for item in listed["Contents"] if item["Key"].endswith(".whl")]
    assert any("/transformers-" in wheel for wheel in wheels)
    assert avatar.manifest.steps_trained == 2


def test_a_job_is_process_one_and_hears_the_signal(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_process_one()
    with SagemakerTwin(pid_namespace=True) as twin:
        for name, value in twin.environment.items():
            monkeypatch.setenv(name, value)
        settle(twin, monkeypatch)
        twin.faults.interrupt_spot(at_step=5)
        avatar = train(photos, steps=8, spot=True)
        assert twin.jobs[avatar.id].starts == 2
        assert avatar.manifest.steps_trained == 8
