"""A batch on SageMaker, in the twin: bounded, started twice, left, and one of the jobs failing."""

from __future__ import annotations

import json
import os
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest
from cloud import keys_in, settle
from local.processes import eventually, finish, lensa
from people import LEAST, write_people

import lensa as public
from lensa.batches.batch import make_batch
from lensa.batches.outcome import Outcome
from lensa.client import Client
from lensa.costs import price
from lensa.errors import TrainingStopped
from lensa.testing import SagemakerTwin

QUOTA = "ml.g5.2xlarge for training job usage"


@pytest.fixture(autouse=True)
def cloud(sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    return sagemaker_twin


def test_one_fails_the_other_waits_for_the_quota_and_the_same_call_starts_the_one_again(
    cloud: SagemakerTwin, tmp_path: Path, isolated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_people(
        tmp_path,
        {"subject": "ada", "styles": "anime"},
        {"subject": "bob", "styles": "anime"},
    )
    cloud.quotas[QUOTA] = 1
    cloud.faults.fail_container(1, "the loss is not a number")
    report = public.batch(path, tmp_path / "out", parallel=2, **LEAST)
    (failed,) = report.failed
    assert "the loss is not a number" in str(failed.error)
    (done,) = [row for row in report.rows if row.status == "done"]
    assert done.dollars is not None
    assert (tmp_path / "out" / done.subject / "anime" / "000.webp").is_file()
    said = capsys.readouterr().err
    reason = f"starting the training job failed: the account's quota '{QUOTA}' is 1"
    assert f": waiting  for its turn: {reason}" in said
    assert "2 avatars, 2 at a time." in said
    assert "10 photos would be uploaded" in said
    assert len(cloud.jobs) == 2
    assert not list(isolated.glob("avatars/*"))  # the galleries were brought, no weights

    again = public.batch(path, tmp_path / "out", **LEAST)
    assert again.ok
    assert {row.job for row in again.rows} == {done.job, f"{failed.job}-2"}
    assert len(cloud.jobs) == 3
    assert "2 of 2 avatars" in (tmp_path / "out" / "report.html").read_text()

    found = public.batch(path, tmp_path / "out", **LEAST)  # nothing is left to do
    assert [(row.seconds, row.dollars) for row in found.rows] == [
        (row.seconds, row.dollars) for row in again.rows
    ]
    for row in found.rows:
        job = cloud.client("sagemaker").describe_training_job(TrainingJobName=row.job)
        assert row.dollars == price(job["BillableTimeInSeconds"], 1.515)
        assert row.seconds == (job["TrainingEndTime"] - job["CreationTime"]).total_seconds()


def test_ctrl_c_leaves_the_jobs_running_and_started_twice_they_are_the_same(
    cloud: SagemakerTwin, tmp_path: Path
) -> None:
    path = write_people(tmp_path, {"subject": "ada"}, {"subject": "bob"}, {"subject": "eve"})
    options = [f"--set={name}={json.dumps(value)}" for name, value in LEAST.items()]
    command = ["batch", path, "--out", tmp_path / "out", *options, "--parallel", "2", "--spot"]
    code, _, err = finish(lensa(*command))
    assert code == 2
    assert "there is no terminal to ask on" in err
    for _ in range(3):
        cloud.faults.slow_start(3600)
    for _ in range(2):
        process = lensa(*command, "--yes")
        assert eventually(lambda: len(cloud.jobs) == 2)
        assert process.stderr is not None
        running = 0
        while running < 2:
            running += ": running" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "These run on, and are paid for" in err
        assert all(f": {name}" in err for name in cloud.jobs)
    assert {job.status for job in cloud.jobs.values()} == {"InProgress"}
    assert len(cloud.called("CreateTrainingJob")) == 2
    assert all(job.request["EnableManagedSpotTraining"] for job in cloud.jobs.values())


@pytest.mark.parametrize(
    "moment", ["starting  ", "starting  uploading", "starting  submitting", "waiting  for its turn"]
)
def test_left_while_a_job_is_being_started_it_says_what_runs(
    moment: str, cloud: SagemakerTwin, tmp_path: Path
) -> None:
    path = write_people(tmp_path, {"subject": "ada"})
    cloud.faults.slow_start(3600)
    if "waiting" in moment:
        cloud.faults.fail("CreateTrainingJob", "ResourceLimitExceeded")
    pressed: list[str] = []

    def press(outcome: Outcome) -> None:
        if not pressed and f"{outcome.status}  {outcome.told}".startswith(moment):
            pressed.append(moment)
            os.kill(os.getpid(), signal.SIGINT)

    batch = make_batch(Client(), path, **LEAST)
    # A shell starts what runs in the background with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(TrainingStopped) as left:
            batch.run(tmp_path / "out", show=nullcontext(press))
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed
    assert ("Nothing runs." in str(left.value)) == (not cloud.jobs)
    assert all(f"ada: {name}" in str(left.value) for name in cloud.jobs)
    if "submitting" in moment:
        assert cloud.jobs


def test_a_dry_run_tells_time_and_price_of_every_row_and_starts_nothing(
    cloud: SagemakerTwin, tmp_path: Path
) -> None:
    path = write_people(tmp_path, {"subject": "ada", "styles": "all"}, {"subject": "bob"})
    code, lines, _ = finish(lensa("batch", path, "--dry-run", "--base", "micro", "--json"))
    assert code == 0
    rows = lines[-1]["rows"]
    assert [(row["subject"], row["images"]) for row in rows] == [
        ("ada", len(public.styles())),
        ("bob", 0),
    ]
    assert rows[0]["dollars"] > rows[1]["dollars"] > 0
    assert rows[0]["most_dollars"] == pytest.approx(4 * 1.515)
    assert rows[0]["price_source"] == "by AWS's price list today"
    assert not cloud.jobs


def test_a_dry_run_asks_for_prices_once_and_knows_a_budget_in_every_region(
    cloud: SagemakerTwin, tmp_path: Path
) -> None:
    cloud.prices["eu-west-1", "ml.g5.2xlarge"] = 2.0
    path = write_people(tmp_path, {"subject": "ada"}, {"subject": "bob"})
    batch = make_batch(Client(region="eu-west-1"), path, budget=5, **LEAST)
    for cast in batch.forecasts():
        assert (cast.hourly, cast.most_dollars) == (2.0, 5.0)
        assert cast.source == "by AWS's price list today"
    assert len(cloud.called("GetProducts")) == 1


@pytest.mark.slow
def test_an_interrupted_gallery_goes_on_in_the_next_container(
    cloud: SagemakerTwin, tmp_path: Path
) -> None:
    path = write_people(tmp_path, {"subject": "ada", "styles": "anime", "count": 4})
    # The training has one step: it is the gallery's second image that is interrupted.
    cloud.faults.interrupt_spot(at_step=2)
    report = public.batch(path, tmp_path / "out", **{**LEAST, "steps": 1}, spot=True)
    (job,) = cloud.jobs.values()
    assert job.starts == 2
    assert len(report.rows[0].images) == 4
    kept = [key for key in keys_in(cloud) if "/gallery/" in key and "/checkpoints/" in key]
    assert len(kept) == 4
