"""Real-time endpoints in the twin, through boto3 alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from twinendpoints import (
    OWN_IMAGE,
    ask,
    bundle,
    config,
    describe,
    make,
    model,
    prefix,
    put,
    until,
    upload_model,
)

from lensa.testing import SagemakerTwin
from lensa.testing.container import namespaces


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_an_endpoint_comes_into_service_answers_and_goes(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    make(sagemaker_twin, tags=[{"Key": "team", "Value": "red"}])
    assert describe(sagemaker_twin)["EndpointStatus"] in {"Creating", "InService"}
    sagemaker_twin.endpoints["here"].wait()
    told = describe(sagemaker_twin)
    assert told["EndpointStatus"] == "InService" and told["EndpointConfigName"] == "here"
    [variant] = told["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1)
    assert sagemaker.list_tags(ResourceArn=told["EndpointArn"])["Tags"] == [
        {"Key": "team", "Value": "red"}
    ]
    assert ask(sagemaker_twin)["said"] == "hello"
    [listed] = sagemaker.list_endpoints(NameContains="her")["Endpoints"]
    assert listed["EndpointName"] == "here"
    endpoint = sagemaker_twin.endpoints["here"]
    sagemaker.delete_endpoint(EndpointName="here")
    assert endpoint.gone.wait(10)
    assert sagemaker_twin.endpoints == {}
    code, message = refused(sagemaker.describe_endpoint, EndpointName="here")
    assert code == "ValidationException" and message.startswith("Could not find endpoint ")
    # What it was made of stays.
    assert sagemaker.describe_model(ModelName="here")["ModelName"] == "here"
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigName"] == "here"


def test_a_container_sees_the_model_its_environment_and_nothing_else(
    sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", "x")
    put(sagemaker_twin, "bases/micro/base.txt", "weights")
    base = {"ChannelName": "base", **prefix(f"s3://{sagemaker_twin.bucket}/bases/micro/")}
    make(
        sagemaker_twin,
        Environment={"WHERE": "/opt/ml/model", "LENSA_DEADLINE": "55"},
        AdditionalModelDataSources=[base],
    )
    sagemaker_twin.endpoints["here"].wait()
    seen = ask(sagemaker_twin)
    root = seen["environment"]["SAGEMAKER_BASE_DIR"]
    assert seen["environment"]["WHERE"] == f"{root}/model"
    assert seen["environment"]["LENSA_DEADLINE"] == "55"
    assert seen["environment"]["LENSA_INSTALL"] == "never"
    assert seen["environment"]["AWS_ENDPOINT_URL"] == sagemaker_twin.url
    assert "OUR_SECRET" not in seen["environment"]
    assert seen["files"] == ["additional-model-data-sources/base/base.txt", "model/said.txt"]
    assert seen["headers"]["Content-Type"] == "application/json"


def test_nothing_can_be_written_in_the_model_folder(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    for name in ("new.txt", "said.txt", "code/new.txt"):
        code, message = refused(ask, twin=sagemaker_twin, write=name)
        assert code == "ModelError" and "Permission denied" in message


@pytest.mark.skipif(not namespaces(process_1=False, isolated=True), reason="needs unshare --net")
def test_an_isolated_container_answers_and_reaches_nobody(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    make(sagemaker_twin, "alone", isolated=True)
    for endpoint in sagemaker_twin.endpoints.values():
        endpoint.wait()
    port = int(sagemaker_twin.url.rpartition(":")[2])
    assert ask(sagemaker_twin, reach=port)["reached"]
    alone = ask(sagemaker_twin, "alone", reach=port)
    assert alone["said"] == "hello" and not alone["reached"]
    assert not any(name.startswith("AWS_") for name in alone["environment"])
    code, message = refused(lambda: ask(sagemaker_twin, "alone", write="new.txt"))
    assert code == "ModelError" and "Permission denied" in message


def test_an_image_of_ones_own_runs_the_server_of_the_bundle(sagemaker_twin: SagemakerTwin) -> None:
    put(sagemaker_twin, "models/here/code/lensa.pyz", bundle())
    make(sagemaker_twin, Image=OWN_IMAGE)
    sagemaker_twin.endpoints["here"].wait()
    answer = sagemaker_twin.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="here", Body=b"abc"
    )
    assert answer["Body"].read() == b"cba"
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_what_a_handler_raises_or_says_is_a_model_error(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    with pytest.raises(ClientError) as caught:
        ask(sagemaker_twin, **{"raise": "no such prompt"})
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 400
    assert json.loads(answer["OriginalMessage"]) == {
        "code": 400,
        "type": "InternalServerException",
        "message": "no such prompt",
    }
    assert answer["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/here")
    assert answer["Error"]["Message"].startswith("Received client error (400) from primary with")
    with pytest.raises(ClientError) as caught:
        ask(sagemaker_twin, status=503)
    assert caught.value.response["OriginalStatusCode"] == 503
    assert caught.value.response["OriginalMessage"].startswith('{"said": "hello"')


def test_of_long_words_two_kilobytes_are_passed_on(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    with pytest.raises(ClientError) as caught:
        ask(sagemaker_twin, **{"raise": "x" * 3000})
    said = caught.value.response["OriginalMessage"]
    assert len(said) == 2048 and said.endswith("xxx")
    assert caught.value.response["Error"]["Message"].count("x") < 2048


def test_the_log_is_in_cloudwatch(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    ask(sagemaker_twin)
    endpoint.wait_for(lambda one: "answered" in one.log())
    logs = sagemaker_twin.client("logs")
    group = "/aws/sagemaker/Endpoints/here"
    [stream] = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"].startswith("AllTraffic/i-")
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert [event["message"] for event in events] == endpoint.log() == ["loading", "answered"]


def test_an_update_serves_the_old_model_until_the_new_one_is_healthy(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin)
    sagemaker = sagemaker_twin.client("sagemaker")
    endpoint = sagemaker_twin.endpoints["here"].wait()
    uri = upload_model(sagemaker_twin, "models/newer", "good day")
    sagemaker.create_model(**model(sagemaker_twin, "newer", uri))
    sagemaker.create_endpoint_config(**config("newer", "newer"))
    sagemaker_twin.faults.slow_endpoint(300)
    sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="newer")
    told = describe(sagemaker_twin)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("Updating", "here")
    assert told["PendingDeploymentSummary"]["EndpointConfigName"] == "newer"
    assert ask(sagemaker_twin)["said"] == "hello"
    code, message = refused(sagemaker.delete_endpoint, EndpointName="here")
    assert (code, message[:34]) == ("ValidationException", "Cannot update in-progress endpoint")
    sagemaker_twin.clock.advance(300)
    endpoint.wait()
    assert ask(sagemaker_twin)["said"] == "good day"
    assert describe(sagemaker_twin)["EndpointConfigName"] == "newer"
    assert len(endpoint.pids) == 1


def test_an_update_cuts_no_request_off(sagemaker_twin: SagemakerTwin, tmp_path: Path) -> None:
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    sagemaker = sagemaker_twin.client("sagemaker")
    uri = upload_model(sagemaker_twin, "models/newer", "good day")
    sagemaker.create_model(**model(sagemaker_twin, "newer", uri))
    sagemaker.create_endpoint_config(**config("newer", "newer"))
    with ThreadPoolExecutor(1) as pool:
        before = endpoint.container
        long = pool.submit(ask, sagemaker_twin, gate=str(tmp_path / "gate"))
        until(lambda: "at the gate" in endpoint.log())
        sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="newer")
        endpoint.wait_for(lambda one: one.container is not before)
        assert ask(sagemaker_twin)["said"] == "good day"
        (tmp_path / "gate").touch()
        assert long.result()["said"] == "hello"


def test_of_updates_that_come_at_once_one_is_taken(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_endpoint_config(**config("newer", "here"))
    sagemaker_twin.faults.slow_endpoint(600)

    def update(_: int) -> str:
        try:
            sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="newer")
        except ClientError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(update, range(4)))
    assert said[0] == "" and all("in-progress" in one for one in said[1:])


def test_an_update_that_fails_leaves_what_was_there_and_says_why(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_endpoint_config(**config("newer", "here"))
    sagemaker_twin.faults.fail_endpoint(log="out of memory")
    sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="newer")
    endpoint.wait()
    told = describe(sagemaker_twin)
    assert told["EndpointConfigName"] == "here" and "ping health check" in told["FailureReason"]
    assert "out of memory" in endpoint.log()
    assert ask(sagemaker_twin)["said"] == "hello"
