"""Training on SageMaker, in the twin: the job really runs, from what was uploaded."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from cloud import keys_in, open_uploads, settle, train, weights
from conftest import write_photos

from lensa.client import Client
from lensa.contract.events import (
    NoticeEvent,
    PhaseEvent,
    ProgressEvent,
    StageEvent,
    ValidationEvent,
)
from lensa.errors import AccountError, NotFoundError, TrainingError, TrainingStopped
from lensa.testing import SagemakerTwin


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def test_from_photos_to_an_avatar(cloud: SagemakerTwin, photos: Path, isolated: Path) -> None:
    events: list[object] = []
    avatar = train(photos, events=events, validation_every=2)

    assert cloud.jobs[avatar.id].status == "Completed"
    assert avatar.manifest.steps_trained == 4
    assert avatar.manifest.avatar == avatar.id
    consent = avatar.manifest.consent
    assert consent is not None
    assert (consent.given, consent.photos) == ("call", 5)
    assert consent.destination == f"s3://{cloud.bucket}/lensa/photos/"
    assert len(weights(avatar)) > 0
    assert avatar.report is not None
    assert "an hour on demand" in avatar.report.read_text()
    phases = [event.phase for event in events if isinstance(event, PhaseEvent)]
    assert "training" in phases
    stages = [event.stage for event in events if isinstance(event, StageEvent)]
    assert stages.index("loading") < stages.index("training") < stages.index("exporting")
    steps = [
        event.step
        for event in events
        if isinstance(event, ProgressEvent)
        if event.stage == "training"
    ]
    assert steps == [1, 2, 3, 4]
    seen = [event for event in events if isinstance(event, ValidationEvent)]
    assert [event.step for event in seen] == [0, 2]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for e in seen for path in e.images)

    info = Client().jobs()[0]
    assert (info.name, info.subject.name, info.status) == (avatar.id, "ada", "completed")
    assert (info.base, info.steps) == ("micro", 4)
    assert Client().avatars()[0].id == avatar.id
    assert Client().avatar("ada").path == avatar.path
    assert not open_uploads(cloud)

    # What AWS sees of the subject is an id.
    assert not [key for key in keys_in(cloud) if "ada" in key.lower()]
    assert "ada" not in json.dumps(
        [call.parameters for call in cloud.calls if call.service == "sagemaker"], default=str
    )
    # The avatar serves on this machine, from the folder that it was brought to.
    gallery = Client(backend="local").avatar(str(avatar.path)).generate("by the sea", seed=3)
    assert len(list(gallery)) == 1


def test_the_same_call_is_the_same_job(cloud: SagemakerTwin, photos: Path, tmp_path: Path) -> None:
    first = train(photos)
    sent = len(cloud.called("PutObject"))
    again = train(photos)
    elsewhere = train(photos, home=tmp_path / "another-machine")
    assert first.id == again.id == elsewhere.id
    assert len(cloud.jobs) == 1
    assert len(cloud.called("PutObject")) == sent
    assert weights(elsewhere).keys() == weights(first).keys()


def test_interrupted_three_times_the_weights_are_the_same_to_the_bit(
    cloud: SagemakerTwin, photos: Path
) -> None:
    settings = {"steps": 12, "validation_prompts": [], "optimizer": "adamw"}
    whole = train(photos, subject="whole", **settings)
    steps = sorted(random.sample(range(1, 12), 3))
    print("interrupted at", steps)  # shown when it fails
    for step in steps:
        cloud.faults.interrupt_spot(at_step=step)
    events: list[object] = []
    broken = train(photos, subject="broken", spot=True, events=events, **settings)

    assert cloud.jobs[broken.id].starts == 4
    assert cloud.jobs[whole.id].starts == 1
    notices = [event.message for event in events if isinstance(event, NoticeEvent)]
    assert sum("resumed from the checkpoint" in notice for notice in notices) == 3
    expected, found = weights(whole), weights(broken)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def test_stopped_and_asked_for_again_it_goes_on(cloud: SagemakerTwin, photos: Path) -> None:
    job = Client().train(
        photos, subject="ada", wait=False, base="micro", steps=400, class_images=2,
        class_image_steps=2, validation_prompts=[], tracker="none",
    )  # fmt: skip
    cloud.jobs[job.name].wait_for(lambda job: job.step >= 3, timeout=120)
    job.stop()
    assert job.status == "stopped"
    with pytest.raises(TrainingStopped, match="goes on from its checkpoint"):
        job.wait()

    again = Client().train(
        photos, subject="ada", wait=False, base="micro", steps=400, class_images=2,
        class_image_steps=2, validation_prompts=[], tracker="none",
    )  # fmt: skip
    assert again.name == f"{job.name}-2"
    cloud.jobs[again.name].wait_for(lambda job: job.step >= 1, timeout=120)
    assert any("resumed from the checkpoint" in line for line in again.logs())
    again.stop()


@pytest.mark.slow
def test_class_images_are_drawn_once_for_all_subjects(
    cloud: SagemakerTwin, photos: Path, tmp_path: Path
) -> None:
    train(photos, subject="ada")
    cached = [key for key in keys_in(cloud) if "/class-images/" in key]
    assert len(cached) == 2
    other = train(write_photos(tmp_path / "others", seed=7), subject="grace")
    channels = {c["ChannelName"] for c in cloud.jobs[other.id].request["InputDataConfig"]}
    assert "class_cache" in channels
    assert not any('"stage":"class_images"' in line for line in cloud.jobs[other.id].log)


def test_a_base_of_this_machine_travels_with_the_job(cloud: SagemakerTwin, photos: Path) -> None:
    avatar = train(photos, base="mini", steps=2, class_images=1)
    assert [key for key in keys_in(cloud) if key.endswith("/REVISION") and "bases/mini/" in key]
    assert avatar.manifest.config.base.name == "mini"
    assert weights(avatar)


def test_a_bucket_is_made_when_asked_for_and_only_then(
    cloud: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSA_BUCKET", "a-new-bucket")
    with pytest.raises(AccountError, match="let lensa create it"):
        train(photos, wait=False)
    cloud.faults.slow_start(3600)
    train(photos, wait=False, create_bucket=True)
    s3 = cloud.client("s3")
    assert s3.get_public_access_block(Bucket="a-new-bucket")
    rules = s3.get_bucket_lifecycle_configuration(Bucket="a-new-bucket")["Rules"]
    assert {"lensa/photos/"} <= {rule["Filter"]["Prefix"] for rule in rules}


def test_a_bucket_with_other_things_in_it_keeps_its_settings(
    cloud: SagemakerTwin, photos: Path
) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=cloud.bucket, Key="report.pdf", Body=b"somebody's")
    with pytest.raises(AccountError, match="lensa did not make it"):
        train(photos, wait=False, create_bucket=True)
    with pytest.raises(s3.exceptions.ClientError):
        s3.get_public_access_block(Bucket=cloud.bucket)
    cloud.faults.slow_start(3600)
    events: list[object] = []
    train(photos, wait=False, events=events)
    notices = [event.message for event in events if isinstance(event, NoticeEvent)]
    assert any("the photos stay until they are deleted" in notice for notice in notices)


def test_what_the_container_says_is_the_error(cloud: SagemakerTwin, photos: Path) -> None:
    cloud.faults.fail_container(1, "the loss is not a number at step 3: lower learning_rate")
    with pytest.raises(TrainingError, match="the loss is not a number at step 3") as raised:
        train(photos)
    assert "AlgorithmError" not in str(raised.value)
    assert "lensa logs" in str(raised.value)


def test_no_capacity_says_what_to_do(cloud: SagemakerTwin, photos: Path) -> None:
    cloud.faults.no_capacity()
    with pytest.raises(TrainingError, match="take another instance_type"):
        train(photos)


def test_a_quota_of_nothing_is_said_before_anything_runs(
    cloud: SagemakerTwin, photos: Path
) -> None:
    cloud.quotas["ml.g5.2xlarge for training job usage"] = 0
    with pytest.raises(AccountError, match="Ask for more"):
        train(photos)
    assert not cloud.jobs


def test_a_job_that_disappears_is_said(cloud: SagemakerTwin, photos: Path) -> None:
    cloud.faults.lose_job(at_step=1)
    with pytest.raises((NotFoundError, TrainingError), match="there is no training job"):
        train(photos, steps=40)


def test_credentials_that_end_on_the_way_leave_the_job_running(
    cloud: SagemakerTwin, photos: Path
) -> None:
    cloud.faults.slow_start(600)
    job = Client().train(photos, subject="ada", wait=False, base="micro", steps=4)
    cloud.faults.expire_credentials("DescribeTrainingJob")
    with pytest.raises(AccountError, match="expired"):
        job.wait(lambda event: None)
    assert cloud.jobs[job.name].status == "InProgress"


@pytest.mark.slow
def test_two_hundred_throttled_calls_and_no_failure(
    cloud: SagemakerTwin, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: real(min(seconds, 0.02)))
    cloud.faults.throttle(200)
    avatar = train(photos)
    assert avatar.manifest.steps_trained == 4
