"""How containers are ended, and what holds them: signals, limits and namespaces."""

from __future__ import annotations

from pathlib import Path

import pytest
from requirements import need
from twinjobs import describe, facts, keys, read, request, states

from lensa.testing import SagemakerTwin
from lensa.testing.container import NO_NETWORK, PID_NAMESPACE, unsharing


def test_a_job_stopped_while_it_trains_keeps_its_model(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, steps=100_000, pause=0.01))
    job = sagemaker_twin.jobs["job"]
    job.wait_for(lambda job: job.step >= 2)
    sagemaker.stop_training_job(TrainingJobName="job")
    assert describe(sagemaker_twin)["TrainingJobStatus"] in {"Stopping", "Stopped"}
    assert job.wait().status == "Stopped"
    assert states(sagemaker_twin)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert int(read(sagemaker_twin, "avatars/job/output/model/weights.txt")) >= 2
    with pytest.raises(sagemaker.exceptions.ClientError, match="is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName="job")


def test_a_container_deaf_to_sigterm_is_killed_after_two_minutes_of_the_clock(
    sagemaker_twin: SagemakerTwin,
) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))\n"
        'print(\'{"event": "progress", "step": 1}\', flush=True)\n'
        "while True: time.sleep(0.01)"
    )
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, script=script))
    job = sagemaker_twin.jobs["job"]
    job.wait_for(lambda job: job.step == 1)
    sagemaker_twin.clock.freeze()
    sagemaker.stop_training_job(TrainingJobName="job")
    job.wait_for(lambda job: "no" in job.log)
    sagemaker_twin.clock.advance(119)
    assert not job.done
    sagemaker_twin.clock.advance(2)
    assert job.wait().status == "Stopped"


def test_a_job_past_its_maximum_runtime_is_stopped_with_its_model(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.client("sagemaker").create_training_job(
        **request(sagemaker_twin, steps=100_000, pause=0.01)
    )
    job = sagemaker_twin.jobs["job"]
    job.wait_for(lambda job: job.step >= 1)
    sagemaker_twin.clock.advance(3601)
    job.wait()
    told = describe(sagemaker_twin)
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert told["TrainingTimeInSeconds"] >= 3601
    assert keys(sagemaker_twin, "avatars/job/output/model/") != []


def test_an_isolated_job_has_no_credentials_and_no_network(sagemaker_twin: SagemakerTwin) -> None:
    script = (
        "import os, socket\n"
        "print(sorted(name for name in os.environ if name.startswith('AWS')))\n"
        f"port = {sagemaker_twin.url.rpartition(':')[2]}\n"
        "try: socket.create_connection(('127.0.0.1', port)); print('reached')\n"
        "except OSError as error: print(type(error).__name__)\n"
        "here = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(here.getsockname()); print('loopback')"
    )
    asked = request(sagemaker_twin, script=script, EnableNetworkIsolation=True)
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    log = sagemaker_twin.jobs["job"].wait().log
    assert log[0] == "[]"
    need("netns", unsharing(*NO_NETWORK) is not None, "network namespaces (unshare --net)")
    assert log[1:] == ["ConnectionRefusedError", "loopback"]


def test_a_job_can_be_process_1_of_its_container() -> None:
    possible = unsharing(*PID_NAMESPACE) is not None
    need("pidns", possible, "PID namespaces (unshare --pid --mount-proc)")
    with SagemakerTwin(pid_namespace=True) as twin:
        sagemaker = twin.client("sagemaker")
        asked = request(twin, steps=100_000, pause=0.01, EnableNetworkIsolation=True)
        sagemaker.create_training_job(**asked)
        job = twin.jobs["job"]
        job.wait_for(lambda job: job.step >= 2)
        assert job.pid is not None and Path(f"/proc/{job.pid}").exists()
        sagemaker.stop_training_job(TrainingJobName="job")
        assert job.wait().status == "Stopped"
        assert job.log[-1] == "stopped"
        assert facts(twin)["pid"] == 1
