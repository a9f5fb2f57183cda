"""A job at its limits: its time, its network, its place as process 1. Minutes each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cloud import settle, train, weights
from conftest import TINY
from requirements import need_process_one

from lensa.client import Client
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

    # The same call is the same avatar; with more time it is trained on.
    sagemaker_twin.faults.slow_start(3600)
    recipe = {**TINY, "steps": 20_000, "validation_every": 0}
    again = Client().train(photos, subject="ada", wait=False, **recipe, max_hours=200 / 3600)
    assert again.name == avatar.id
    longer = Client().train(photos, subject="ada", wait=False, **recipe, max_hours=1)
    assert longer.name == f"{avatar.id}-2"


def test_mini_interrupted_three_times_ends_with_the_same_weights(
    sagemaker_twin: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(sagemaker_twin, monkeypatch)
    recipe = {"base": "mini", "steps": 10, "class_images": 2, "validation_prompts": []}
    whole = train(photos, subject="whole", **recipe)
    for step in (2, 4, 7):
        sagemaker_twin.faults.interrupt_spot(at_step=step)
    broken = train(photos, subject="broken", spot=True, **recipe)
    assert sagemaker_twin.jobs[broken.id].starts == 4
    found = weights(broken)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, found[name]), name


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
