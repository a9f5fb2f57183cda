"""The twin around its tests: alone in a process, one after the other, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from twinjobs import keys, request

from lensa.errors import BusyError
from lensa.testing import SagemakerTwin

SLEEPER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print('{"event": "progress", "step": 1}', flush=True)
time.sleep(600)
"""


def inside_twins() -> list[int]:
    """Every process that was started in a container of ours."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if b"TRAINING_JOB_NAME=leaves-nothing" in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


class Remote:
    """What a test knows of a twin in another process."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.bucket, self.role = facts["bucket"], facts["role"]
        self._url, self._region = facts["url"], facts["region"]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=self._region,
            endpoint_url=self._url,
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_nothing_is_left_of_a_twin_that_is_closed_in_the_middle_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = set(threading.enumerate())
    with SagemakerTwin() as twin:
        sagemaker = twin.client("sagemaker")
        sagemaker.create_training_job(**request(twin, "leaves-nothing", script=SLEEPER))
        twin.jobs["leaves-nothing"].wait_for(lambda job: job.step == 1)
        assert len(inside_twins()) == 2
        assert list(tmp_path.iterdir())
    assert inside_twins() == []
    assert list(tmp_path.iterdir()) == []
    assert set(threading.enumerate()) <= threads
    twin.close()  # again does nothing


def test_a_twin_knows_nothing_of_the_one_before() -> None:
    with SagemakerTwin() as first:
        first.client("sagemaker").create_training_job(**request(first, steps=1))
        first.jobs["job"].wait()
        first.quotas.clear()
    with SagemakerTwin(region="eu-west-1") as second:
        assert second.jobs == {} and second.calls == [] and keys(second) == []
        assert second.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
        assert second.quotas
        where = second.client("s3").get_bucket_location(Bucket=second.bucket)
        assert where["LocationConstraint"] == "eu-west-1"
        groups = second.client("logs", region="us-east-1").describe_log_groups()["logGroups"]
        assert groups == []


def test_two_twins_at_once_are_refused(sagemaker_twin: SagemakerTwin) -> None:
    with pytest.raises(BusyError, match="close that one first"):
        SagemakerTwin().start()
    assert sagemaker_twin.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_the_fixture_leads_every_client_to_the_twin(sagemaker_twin: SagemakerTwin) -> None:
    buckets = boto3.client("s3").list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == [sagemaker_twin.bucket]
    assert "AWS_PROFILE" not in os.environ
    assert boto3.session.Session().available_profiles == []


def test_a_profile_of_the_user_that_is_gone_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "long-gone")
    script = (
        "from lensa.testing import SagemakerTwin\n"
        "with SagemakerTwin() as twin:\n"
        "    print(twin.client('logs').describe_log_groups()['logGroups'])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


def test_the_plugin_loads_nothing_heavy() -> None:
    script = "import sys, lensa.testing.plugin; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in out.stdout.split()}
    assert not loaded & {"boto3", "botocore", "moto", "flask", "werkzeug", "pydantic"}


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_process_of_its_own_serves_and_ends_with_its_containers(
    end: signal.Signals, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "lensa.testing", "--region", "eu-west-1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        assert server.stdout is not None and server.stderr is not None
        facts = json.loads(server.stdout.readline())
        region = facts["environment"]["AWS_DEFAULT_REGION"]
        assert region == facts["region"] == "eu-west-1"

        remote = Remote(facts)
        sagemaker, name = remote.client("sagemaker"), "leaves-nothing"
        sagemaker.create_training_job(**request(remote, name, script=SLEEPER))
        while sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"] in {
            "Starting",
            "Downloading",
        }:
            threading.Event().wait(0.02)
        server.send_signal(end)
        assert server.wait(timeout=30) == 0
        assert server.stderr.read() == ""
    assert inside_twins() == []
    assert list(tmp_path.iterdir()) == []
