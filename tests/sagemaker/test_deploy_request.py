"""CreateModel, CreateEndpointConfig and CreateSchedule, held against botocore's model and against
recorded requests.

    LENSA_RECORD=1 python -m pytest tests/sagemaker/test_deploy_request.py

writes the records anew; they are reviewed like code.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.hosting.request import (
    Inputs,
    config_request,
    endpoint_of,
    model_request,
)
from lensa.backends.sagemaker.hosting.schedule import schedule_request
from lensa.backends.sagemaker.images import inference_image
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.errors import ConfigError
from lensa.testing.shapes import check_input

RECORDS = Path(__file__).parent / "deployments"
RECORDING = "LENSA_RECORD" in os.environ  # asked now: each test gets an environment of its own
NAME = "lensa-7k2m0000-0a1b2c3d"
ROLE = "arn:aws:iam::123456789012:role/lensa"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hub-AbCdEf"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/lensa-serving:1"
BASE = "bases/sd15/451f4fe16113bff5a5d2269ed5ad43b0592e9a14"

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {
        "instance_type": "ml.p3.2xlarge",
        "serving": "own",
        "image": IMAGE,
        "keep": "3d",
        "extend": True,
        "name": "lensa-team",
        "subnets": ["subnet-0a1b2c3d"],
        "security_groups": ["sg-0a1b2c3d"],
        "hub_secret": SECRET,
        "tags": {"team": "avatars"},
    },
    "isolated": {"network_isolation": True},
    "asynchronous": {"asynchronous": True, "max_instances": 3},
}


def requests_of(kind: str, **changes: Any) -> dict[str, Any]:
    options = DeployOptions(**{**KINDS[kind], **changes})
    name = options.endpoint("7k2m0000", ["lensa-7k2m0000-1f3a9c2e"])
    inputs = Inputs(
        endpoint=name,
        model=f"endpoints/{name}/models/0123456789abcdef",
        base=None if kind == "plain" else BASE,
        image=options.image or inference_image("eu-west-1"),
        role=ROLE,
        uri=lambda key: f"s3://avatars/lensa/{key}",
        kms_key=None if kind == "plain" else KEY,
    )
    model = model_request(inputs, options)
    return {
        "CreateModel": model,
        "CreateEndpointConfig": config_request(inputs, options, model["ModelName"]),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_requests_are_the_recorded_ones(kind: str) -> None:
    text = json.dumps(requests_of(kind), indent=2) + "\n"
    record = RECORDS / f"{kind}.json"
    if RECORDING:
        record.write_text(text)
    assert text == record.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_botocore_and_the_constraints_of_the_service_accept_them(kind: str) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    for operation, request in requests_of(kind).items():
        report = ParamValidator().validate(request, model.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()
        check_input("sagemaker", operation, request)


def test_the_end_is_a_one_shot_entry_that_goes_with_what_it_deletes() -> None:
    end = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
    request = schedule_request(NAME, end, ROLE, "aws-cn")
    check_input("scheduler", "CreateSchedule", request)
    assert request["ScheduleExpression"] == "at(2026-11-22T01:30:00)"
    assert request["Target"]["Arn"] == "arn:aws-cn:scheduler:::aws-sdk:sagemaker:deleteEndpoint"
    assert json.loads(request["Target"]["Input"]) == {"EndpointName": NAME}
    assert request["ActionAfterCompletion"] == "DELETE"


def test_names_follow_the_content_and_the_longest_one_fits() -> None:
    plain, same = requests_of("plain"), requests_of("plain", keep="3d", tags={"a": "b"})
    other = requests_of("plain", instance_type="ml.g5.2xlarge")
    assert plain["CreateModel"]["ModelName"] == same["CreateModel"]["ModelName"]
    names = [requests["CreateEndpointConfig"]["EndpointConfigName"] for requests in (plain, other)]
    assert names[0] != names[1]
    longest = "lensa-" + "a" * 48
    kind = requests_of("plain", name=longest)
    assert [len(value[f"{one}Name"]) for one, value in _named(kind)] == [63, 63]
    assert endpoint_of(kind["CreateModel"]["ModelName"]) == longest


def _named(requests: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(operation.removeprefix("Create"), value) for operation, value in requests.items()]


def test_a_volume_key_is_left_out_where_the_machine_refuses_it() -> None:
    assert requests_of("everything")["CreateEndpointConfig"]["KmsKeyId"] == KEY
    config = requests_of("asynchronous")["CreateEndpointConfig"]
    assert "KmsKeyId" not in config
    assert config["AsyncInferenceConfig"]["OutputConfig"]["KmsKeyId"] == KEY


def test_our_own_image_gets_a_machine_whose_driver_it_can_use() -> None:
    def machine(kind: str, **changes: Any) -> Any:
        config = requests_of(kind, **changes)["CreateEndpointConfig"]
        return config["ProductionVariants"][0].get("InferenceAmiVersion")

    assert machine("plain") is None  # AWS knows what its own images need
    assert machine("everything") == "al2-ami-sagemaker-inference-gpu-3-1"
    assert machine("everything", instance_type="ml.c5.xlarge") is None
    assert machine("plain", ami="al2-ami-sagemaker-inference-gpu-2") is not None


def test_a_tag_may_be_in_any_language() -> None:
    tags = {"équipe/名前": "a b_c.d:e/f=g+h-i@j 2"}
    assert DeployOptions(tags=tags).tags == SagemakerOptions(tags=tags).tags == tags
    with pytest.raises(ConfigError, match="256 characters at most"):
        SagemakerOptions(tags={"x": "y" * 257})


def test_an_isolated_container_is_told_nothing_that_it_cannot_reach() -> None:
    environment = requests_of("isolated")["CreateModel"]["PrimaryContainer"]["Environment"]
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert not {"LENSA_SECRETS", "LENSA_AVATARS"} & environment.keys()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": "2 hours"}, "such as 90m, 2h or 3d, or the word forever"),
        ({"keep": "5m"}, "from 15m"),
        ({"keep": "999d"}, "forever, typed out"),
        ({"keep": "forever", "extend": True}, "there is no end to move"),
        ({"serving": "own"}, "push it to your registry"),
        ({"image": IMAGE}, "image is that of serving='own'"),
        ({"name": "mine"}, "name = 'mine'"),
        ({"name": "lensa-a--b"}, "single hyphens"),
        ({"max_instances": 2}, "max_instances is of an asynchronous endpoint"),
        ({"subnets": ["subnet-1"]}, "subnets and security_groups go together"),
        ({"network_isolation": True, "hub_secret": SECRET}, "not even its secrets"),
        ({"tags": {"lensa:x": "y"}}, "reserved prefix"),
        ({"tags": {"": "y"}}, "1 to 128 characters"),
        ({"tags": {"x" * 129: "y"}}, "1 to 128 characters"),
        ({"tags": {"x": "y" * 257}}, "256 characters at most"),
        ({"tags": {"team": "a&b"}}, "'&' in 'a&b'"),
        ({"instance_tpye": "ml.g5.xlarge"}, "Did you mean 'instance_type'?"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        DeployOptions(**options)
    assert words in str(raised.value)


def test_keep_is_a_time_or_for_ever() -> None:
    assert DeployOptions().lifetime == timedelta(hours=2)
    assert DeployOptions(keep="3d").lifetime == timedelta(days=3)
    assert DeployOptions(keep="forever").lifetime is None


def test_a_region_without_the_image_is_named() -> None:
    with pytest.raises(ConfigError, match="no Hugging Face inference image in 'mars-1'"):
        inference_image("mars-1")
