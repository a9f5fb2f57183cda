"""The life of training jobs in the twin, through boto3 alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twinjobs import channel, describe, facts, keys, read, request, states

import lensa
from lensa.testing import SagemakerTwin

GROUP = "/aws/sagemaker/TrainingJobs"


def test_a_job_goes_through_its_states_and_leaves_its_model(sagemaker_twin: SagemakerTwin) -> None:
    asked = request(sagemaker_twin, Tags=[{"Key": "team", "Value": "red"}])
    arn = sagemaker_twin.client("sagemaker").create_training_job(**asked)["TrainingJobArn"]
    sagemaker_twin.jobs["job"].wait()
    told = describe(sagemaker_twin)
    assert told["TrainingJobStatus"] == told["SecondaryStatus"] == "Completed"
    assert states(sagemaker_twin) == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    where = f"s3://{sagemaker_twin.bucket}/avatars/job/output/model/"
    assert told["ModelArtifacts"]["S3ModelArtifacts"] == where
    assert read(sagemaker_twin, "avatars/job/output/model/weights.txt") == "3"
    assert told["CreationTime"] <= told["TrainingStartTime"] <= told["TrainingEndTime"]
    [metric] = told["FinalMetricDataList"]
    assert (metric["MetricName"], round(metric["Value"], 3)) == ("loss", 0.333)
    assert all(told[name] == asked[name] for name in asked if name != "Tags")
    assert sagemaker_twin.client("sagemaker").list_tags(ResourceArn=arn)["Tags"] == asked["Tags"]


def test_a_job_sees_what_was_uploaded_and_nothing_of_the_tests_environment(
    sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", "x")
    asked = request(
        sagemaker_twin,
        Environment={"CACHE": "/opt/ml/input/data/code", "OTHER": "/opt/mlflow"},
        HyperParameters={"rate": "1"},
    )
    asked["AlgorithmSpecification"]["ContainerArguments"] += ["--to=/opt/ml/model"]
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    sagemaker_twin.jobs["job"].wait()
    seen = facts(sagemaker_twin)
    root = seen["environment"]["SAGEMAKER_BASE_DIR"]
    assert "OUR_SECRET" not in seen["environment"]
    assert seen["environment"]["LENSA_INSTALL"] == "never"
    assert seen["environment"]["AWS_ENDPOINT_URL"] == sagemaker_twin.url
    assert seen["environment"]["CACHE"] == f"{root}/input/data/code"
    assert seen["environment"]["OTHER"] == "/opt/mlflow"
    assert seen["arguments"][-1] == f"--to={root}/model"
    assert {
        "input/data/code/train.py",
        "input/config/hyperparameters.json",
        "input/config/resourceconfig.json",
        "input/config/inputdataconfig.json",
    } <= set(seen["files"])


def test_a_container_does_not_see_packages_that_are_installed_editable(
    sagemaker_twin: SagemakerTwin,
) -> None:
    script = "import boto3, json, sys; print(json.dumps(sys.path))"
    sagemaker_twin.client("sagemaker").create_training_job(**request(sagemaker_twin, script=script))
    job = sagemaker_twin.jobs["job"].wait()
    assert job.status == "Completed"  # what is installed as a plain folder is there
    checkout = Path(lensa.__file__).parent.parent
    assert checkout.name == "site-packages" or str(checkout) not in json.loads(job.log[0])


def test_the_log_is_in_cloudwatch_line_by_line(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.client("sagemaker").create_training_job(**request(sagemaker_twin, steps=2))
    job = sagemaker_twin.jobs["job"].wait()
    logs = sagemaker_twin.client("logs")
    [stream] = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="job/")[
        "logStreams"
    ]
    assert stream["logStreamName"].startswith("job/algo-1-")
    events = logs.get_log_events(
        logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert [event["message"] for event in events] == job.log
    assert job.log[0] == "from 0" and job.log[-1] == "done"
    assert events[0]["timestamp"] / 1000 >= int(job.created.timestamp())


def test_a_manifest_brings_exactly_the_files_it_names(sagemaker_twin: SagemakerTwin) -> None:
    s3 = sagemaker_twin.client("s3")
    for name in ("a.png", "deep/b.png", "c.png"):
        s3.put_object(Bucket=sagemaker_twin.bucket, Key=f"photos/{name}", Body=name.encode())
    entries = [{"prefix": f"s3://{sagemaker_twin.bucket}/photos/"}, "a.png", "deep/b.png"]
    s3.put_object(Bucket=sagemaker_twin.bucket, Key="m.json", Body=json.dumps(entries).encode())
    asked = request(sagemaker_twin)
    manifest = f"s3://{sagemaker_twin.bucket}/m.json"
    asked["InputDataConfig"].append(channel("photos", manifest, "ManifestFile"))
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    sagemaker_twin.jobs["job"].wait()
    photos = [name for name in facts(sagemaker_twin)["files"] if "/photos/" in name]
    assert photos == ["input/data/photos/a.png", "input/data/photos/deep/b.png"]


@pytest.mark.parametrize(
    ("kind", "key", "content", "reason"),
    [
        ("S3Prefix", "nothing/", None, "No S3 objects found under S3 URL"),
        ("ManifestFile", "gone.json", None, "NoSuchKey (404)"),
        ("ManifestFile", "m.json", '[{"prefix": "s3://lensa-twin/x/"}, "y"]', "NoSuchKey (404)"),
        ("ManifestFile", "m.json", '{"not": "a list"}', "is not a JSON array"),
    ],
)
def test_an_input_that_is_not_there_fails_the_job(
    sagemaker_twin: SagemakerTwin, kind: str, key: str, content: str | None, reason: str
) -> None:
    if content is not None:
        sagemaker_twin.client("s3").put_object(
            Bucket=sagemaker_twin.bucket, Key=key, Body=content.encode()
        )
    asked = request(sagemaker_twin)
    asked["InputDataConfig"].append(channel("photos", f"s3://{sagemaker_twin.bucket}/{key}", kind))
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    job = sagemaker_twin.jobs["job"].wait()
    assert job.status == "Failed" and job.starts == 0
    assert job.failure_reason.startswith("ClientError: Data download failed:")
    assert reason in job.failure_reason


def test_an_input_in_another_region_fails_the_job(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.client("sagemaker", region="eu-west-1").create_training_job(
        **request(sagemaker_twin)
    )
    reason = sagemaker_twin.jobs["job"].wait().failure_reason
    assert "PermanentRedirect (301): The bucket is in this region: us-east-1" in reason


def test_a_compressed_output_is_one_archive(sagemaker_twin: SagemakerTwin) -> None:
    where = {"S3OutputPath": f"s3://{sagemaker_twin.bucket}/avatars/", "CompressionType": "GZIP"}
    asked = request(sagemaker_twin, OutputDataConfig=where)
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    sagemaker_twin.jobs["job"].wait()
    assert keys(sagemaker_twin, "avatars/") == [
        "avatars/job/output/model.tar.gz",
        "avatars/job/output/output.tar.gz",
    ]
    artifacts = describe(sagemaker_twin)["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifacts == f"s3://{sagemaker_twin.bucket}/avatars/job/output/model.tar.gz"


def test_a_failed_container_says_why(sagemaker_twin: SagemakerTwin) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "out = Path(os.environ['SAGEMAKER_BASE_DIR']) / 'output' / 'failure'\n"
        "out.write_text('no face in ' + 'x' * 3000); sys.exit(3)"
    )
    sagemaker_twin.client("sagemaker").create_training_job(**request(sagemaker_twin, script=script))
    job = sagemaker_twin.jobs["job"].wait()
    reason = describe(sagemaker_twin)["FailureReason"]
    assert job.status == "Failed"
    assert reason.startswith("AlgorithmError: no face in xxx")
    assert reason.endswith(", exit code: 3") and len(reason) <= 1024
    assert keys(sagemaker_twin, "avatars/") == []


def test_an_entrypoint_that_is_not_there_fails_the_job(sagemaker_twin: SagemakerTwin) -> None:
    asked = request(sagemaker_twin)
    asked["AlgorithmSpecification"]["ContainerEntrypoint"] = ["no-such-program"]
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    job = sagemaker_twin.jobs["job"].wait()
    assert job.failure_reason.endswith("exit code: 127")
    assert "no-such-program" in job.failure_reason


def test_a_finished_job_can_be_deleted_and_its_name_used_again(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, steps=100_000, pause=0.01))
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.delete_training_job(TrainingJobName="job")
    sagemaker.stop_training_job(TrainingJobName="job")
    sagemaker_twin.jobs["job"].wait()
    sagemaker.delete_training_job(TrainingJobName="job")
    with pytest.raises(sagemaker.exceptions.ClientError, match="Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="job")
    sagemaker.create_training_job(**request(sagemaker_twin))
    assert sagemaker_twin.jobs["job"].wait().status == "Completed"


def test_checkpoints_of_an_earlier_job_are_there_from_the_start(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.client("s3").put_object(
        Bucket=sagemaker_twin.bucket, Key="checkpoints/job/step.txt", Body=b"7"
    )
    sagemaker_twin.client("sagemaker").create_training_job(
        **request(sagemaker_twin, steps=9, spot=True)
    )
    assert sagemaker_twin.jobs["job"].wait().log[0] == "from 7"
    assert read(sagemaker_twin, "checkpoints/job/step.txt") == "9"


def test_two_jobs_run_at_once(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    for name in ("one", "two"):
        sagemaker.create_training_job(**request(sagemaker_twin, name, steps=100_000, pause=0.01))
    one, two = sagemaker_twin.jobs["one"], sagemaker_twin.jobs["two"]
    one.wait_for(lambda one: one.step >= 1 and two.step >= 1)
    assert one.pid != two.pid
    for name in ("one", "two"):
        sagemaker.stop_training_job(TrainingJobName=name)
    assert one.wait().status == two.wait().status == "Stopped"


def test_jobs_are_listed_by_name_status_and_page(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker_twin.faults.no_capacity("ada-2")
    for name in ("ada-1", "ada-2", "bob-1"):
        sagemaker.create_training_job(**request(sagemaker_twin, name, steps=1))
        sagemaker_twin.jobs[name].wait()

    def names(**asked: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_training_jobs").paginate(**asked)
        return [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]

    assert names(NameContains="ada", SortBy="Name", SortOrder="Descending") == ["ada-2", "ada-1"]
    assert names(StatusEquals="Failed") == ["ada-2"]
    assert names(PaginationConfig={"PageSize": 2}) == ["ada-1", "ada-2", "bob-1"]
    assert names(CreationTimeAfter=sagemaker_twin.clock.now()) == []


def test_a_warm_pool_is_held_for_as_long_as_was_asked(sagemaker_twin: SagemakerTwin) -> None:
    asked = request(sagemaker_twin, steps=1)
    asked["ResourceConfig"]["KeepAlivePeriodInSeconds"] = 600
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    sagemaker_twin.jobs["job"].wait()
    assert describe(sagemaker_twin)["WarmPoolStatus"]["Status"] == "Available"
    sagemaker_twin.clock.advance(601)
    pool = describe(sagemaker_twin)["WarmPoolStatus"]
    assert pool == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 600}
