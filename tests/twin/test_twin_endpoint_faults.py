"""What can go wrong with endpoints: on request in the twin, and by itself as on AWS."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from twinendpoints import (
    HANDLERS,
    ask,
    config,
    describe,
    make,
    model,
    put,
    until,
    upload_model,
)

from lensa.testing import SagemakerTwin

SLOW = HANDLERS.replace("def model_fn", "time.sleep(600)\n\n\ndef model_fn")


def model_error(twin: SagemakerTwin, **fields: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        ask(twin, **fields)
    answer: dict[str, Any] = caught.value.response
    assert answer["Error"]["Code"] == "ModelError"
    return answer


def test_an_endpoint_that_is_never_healthy_fails_with_the_reason(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.faults.fail_endpoint(log="CUDA out of memory")
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait("Failed")
    told = describe(sagemaker_twin)
    assert told["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    assert endpoint.log() == ["CUDA out of memory"] and endpoint.pids == []
    with pytest.raises(ClientError, match="not found"):
        ask(sagemaker_twin)
    sagemaker = sagemaker_twin.client("sagemaker")
    with pytest.raises(ClientError, match="Cannot update failed endpoint"):
        sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="here")
    sagemaker.delete_endpoint(EndpointName="here")
    assert endpoint.gone.wait(10)


def test_the_time_to_become_healthy_is_the_clocks(sagemaker_twin: SagemakerTwin) -> None:
    # An image of one's own that loads before it listens.
    put(sagemaker_twin, "models/here/code/lensa.pyz", "import time; time.sleep(600)")
    make(
        sagemaker_twin,
        Image="123456789012.dkr.ecr.us-east-1.amazonaws.com/ours:1",
        variant={"ContainerStartupHealthCheckTimeoutInSeconds": 300},
    )
    endpoint = sagemaker_twin.endpoints["here"]
    endpoint.wait_for(lambda one: one.starts == 1)
    sagemaker_twin.clock.advance(290)
    assert not endpoint.gone.wait(0.3) and endpoint.status == "Creating"
    sagemaker_twin.clock.advance(20)
    endpoint.wait("Failed")
    assert "ping health check" in endpoint.failure_reason


def test_awss_image_is_healthy_before_its_model_is_loaded(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin, handlers=SLOW)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    assert until(endpoint.log) == ["loading"]  # and it goes on loading


def test_a_slow_endpoint_takes_the_clocks_time(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.faults.slow_endpoint(600)
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"]
    assert not endpoint.gone.wait(0.3) and endpoint.status == "Creating"
    sagemaker_twin.clock.advance(600)
    endpoint.wait()


def test_a_busy_container_says_so_in_its_own_words(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    sagemaker_twin.faults.busy(2)
    for _ in range(2):
        answer = model_error(sagemaker_twin)
        assert answer["OriginalStatusCode"] == 503
        assert '"ServiceUnavailableException"' in answer["OriginalMessage"]
    assert ask(sagemaker_twin)["said"] == "hello"


def test_a_full_queue_is_a_503_of_the_server(sagemaker_twin: SagemakerTwin, tmp_path: Path) -> None:
    make(sagemaker_twin, Environment={"MMS_JOB_QUEUE_SIZE": "1"})
    endpoint = sagemaker_twin.endpoints["here"].wait()
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, sagemaker_twin, gate=str(gate))]
        until(lambda: "at the gate" in endpoint.log())
        asked += [pool.submit(ask, sagemaker_twin, gate=str(gate)) for _ in range(3)]
        until(lambda: sum(one.done() for one in asked) == 2)
        gate.touch()
    refused = [problem for one in asked if (problem := one.exception())]
    assert len(refused) == 2  # one was answered, one waited
    for problem in refused:
        assert isinstance(problem, ClientError)
        assert problem.response["OriginalStatusCode"] == 503  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ModelNotReadyException", 429),
        ("ThrottlingException", 400),
        ("ServiceUnavailable", 503),
        ("InternalFailure", 500),
        ("InternalDependencyException", 530),
    ],
)
def test_the_runtimes_own_errors(sagemaker_twin: SagemakerTwin, code: str, status: int) -> None:
    sagemaker_twin.faults.fail("InvokeEndpoint", code, "later", times=None)
    with pytest.raises(ClientError, match="later") as caught:
        ask(sagemaker_twin)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_container_that_dies_costs_its_request_and_is_started_again(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    answer = model_error(sagemaker_twin, exit=1)
    assert answer["OriginalStatusCode"] == 0
    assert "the model process exited" in answer["OriginalMessage"]
    endpoint.wait_for(lambda one: one.starts == 2 and len(one.pids) == 1)
    endpoint.kill()
    endpoint.wait_for(lambda one: one.starts == 3 and one.container is not None)
    assert ask(sagemaker_twin)["said"] == "hello"


def test_an_answer_that_does_not_come_in_time(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    ask(sagemaker_twin)  # it is loaded
    sagemaker_twin.patience = 0.3
    answer = model_error(sagemaker_twin, sleep=3)
    assert answer["OriginalStatusCode"] == 0 and "timed out" in answer["OriginalMessage"]


def test_six_megabytes_are_the_most_in_and_out(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    with pytest.raises(ClientError, match="HTTP content length exceeded 6291456 bytes"):
        ask(sagemaker_twin, filler="x" * 6_291_456)
    answer = model_error(sagemaker_twin, long=6_291_457)
    assert "could not load the entire response body" in answer["Error"]["Message"]
    answer = model_error(sagemaker_twin, long=6_553_501)  # more than the server itself sends
    assert "Worker died." in answer["OriginalMessage"]
    assert ask(sagemaker_twin)["said"] == "hello"


def test_a_model_that_is_gone_when_it_is_needed(sagemaker_twin: SagemakerTwin) -> None:
    uri = upload_model(sagemaker_twin, "models/here", "hello")
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_model(**model(sagemaker_twin, "here", uri))
    sagemaker.create_endpoint_config(**config("here", "here"))
    for key in ("said.txt", "code/inference.py"):
        sagemaker_twin.client("s3").delete_object(
            Bucket=sagemaker_twin.bucket, Key=f"models/here/{key}"
        )
    sagemaker.create_endpoint(EndpointName="here", EndpointConfigName="here")
    endpoint = sagemaker_twin.endpoints["here"].wait("Failed")
    assert endpoint.failure_reason.startswith("Failed to download model data for container")


def test_nothing_is_left_of_a_twin_that_is_closed_with_endpoints() -> None:
    threads = set(threading.enumerate())
    with SagemakerTwin() as twin:
        make(twin)
        make(twin, "later", handlers=SLOW)
        pids = [pid for one in twin.endpoints.values() for pid in one.wait().pids]
        twin.faults.slow_endpoint(600)
        make(twin, "never")
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert until(lambda: set(threading.enumerate()) <= threads)
