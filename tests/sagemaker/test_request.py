"""The one CreateTrainingJob, held against botocore's model and against recorded requests.

    LENSA_RECORD=1 python -m pytest tests/sagemaker/test_request.py

writes the records anew; they are reviewed like code.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from lensa.backends.sagemaker.images import training_image
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.backends.sagemaker.request import METRICS, Inputs, training_request
from lensa.contract import BASES, TrainingConfig, preset
from lensa.contract.events import ProgressEvent, ValidationEvent
from lensa.errors import ConfigError
from lensa.testing.answers import AwsError
from lensa.testing.shapes import check_input

RECORDS = Path(__file__).parent / "requests"
RECORDING = "LENSA_RECORD" in os.environ  # asked now: each test gets an environment of its own
JOB = "lensa-7k2m0000-1f3a9c2e"
ROLE = "arn:aws:iam::123456789012:role/lensa"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
CACHE = "class-images/" + "c" * 64
MODEL = botocore.session.get_session().get_service_model("sagemaker")

KINDS: dict[str, tuple[dict[str, Any], Inputs, str | None]] = {
    "plain": ({}, Inputs(code="code/0a1b"), None),
    "everything": (
        {
            "instance_type": "ml.p3.2xlarge",
            "spot": True,
            "max_hours": 2,
            "max_wait_hours": 6,
            "volume_gb": 100,
            "subnets": ["subnet-0a1b2c3d"],
            "security_groups": ["sg-0a1b2c3d"],
            "wandb_secret": f"{SECRET}wandb-AbCdEf",
            "hub_secret": f"{SECRET}hub-AbCdEf",
            "tags": {"team": "avatars"},
        },
        Inputs(
            code="code/0a1b",
            base="bases/sd15/451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            class_photos=True,
            class_caches={1: CACHE},
            class_caches_there={1},
        ),
        KEY,
    ),
    "isolated": (
        {"network_isolation": True, "instance_type": "ml.g4dn.2xlarge"},
        Inputs(code="code/0a1b-wheels", base="bases/sd15/451f4fe", class_caches={1: CACHE}),
        KEY,
    ),
    "warm": ({"warm_pool_minutes": 30}, Inputs(code="code/0a1b"), None),
}


def request_of(kind: str) -> dict[str, Any]:
    options, inputs, key = KINDS[kind]
    config = TrainingConfig(subject_id="7k2m0000", **preset("person", "lora", BASES["sd15"]))
    return training_request(
        JOB,
        config,
        SagemakerOptions(**options),
        inputs,
        image=training_image("eu-west-1"),
        role=ROLE,
        uri=lambda key: f"s3://avatars/lensa/{key}",
        max_seconds=7200,
        kms_key=key,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_request_is_the_recorded_one(kind: str) -> None:
    text = json.dumps(request_of(kind), indent=2) + "\n"
    record = RECORDS / f"{kind}.json"
    if RECORDING:
        record.write_text(text)
    assert text == record.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_botocore_and_the_constraints_of_the_service_accept_it(kind: str) -> None:
    shape = MODEL.operation_model("CreateTrainingJob").input_shape
    report = ParamValidator().validate(request_of(kind), shape)
    assert not report.has_errors(), report.generate_report()
    check_input("sagemaker", "CreateTrainingJob", request_of(kind))


def test_the_constraints_do_refuse_what_is_too_long() -> None:
    request = request_of("plain")
    request["Environment"]["LONG"] = "x" * 513
    with pytest.raises(AwsError):
        check_input("sagemaker", "CreateTrainingJob", request)


def test_a_volume_key_is_left_out_where_the_machine_refuses_it() -> None:
    assert "VolumeKmsKeyId" in request_of("everything")["ResourceConfig"]
    assert "VolumeKmsKeyId" not in request_of("isolated")["ResourceConfig"]
    assert request_of("isolated")["OutputDataConfig"]["KmsKeyId"] == KEY


def test_an_isolated_job_is_told_nothing_that_it_cannot_reach() -> None:
    environment = request_of("isolated")["Environment"]
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert not {"LENSA_SECRETS", "LENSA_CLASS_CACHE"} & environment.keys()


def test_secrets_go_as_names_and_nothing_says_whose_avatar_it_is() -> None:
    text = json.dumps(request_of("everything"))
    assert json.loads(request_of("everything")["Environment"]["LENSA_SECRETS"]) == {
        "WANDB_API_KEY": f"{SECRET}wandb-AbCdEf",
        "HF_TOKEN": f"{SECRET}hub-AbCdEf",
    }
    assert "ada" not in text


def read(line: str) -> dict[str, float]:
    """What SageMaker finds in a line of the log."""
    found = {name: re.search(regex, line) for name, regex in METRICS.items()}
    return {name: float(match[1]) for name, match in found.items() if match}


def test_the_metrics_are_read_from_the_jobs_own_lines() -> None:
    line = ProgressEvent(step=40, of=800, loss=0.125, learning_rate=1e-5, images_per_second=2.5)
    assert read(line.line()) == {
        "train:step": 40,
        "train:loss": 0.125,
        "train:learning_rate": 1e-5,
        "train:images_per_second": 2.5,
    }


def test_what_a_validation_measured_is_among_them_and_what_it_did_not_is_no_zero() -> None:
    line = ValidationEvent(
        step=200, images=["validation/step-000200/0.png"], likeness=0.71, class_drift=-2e-05
    )
    assert read(line.line()) == {
        "validation:step": 200,
        "validation:likeness": 0.71,
        "validation:class_drift": -2e-05,
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spot": True, "warm_pool_minutes": 10}, "keeps no spot instance warm"),
        ({"subnets": ["subnet-1"]}, "subnets and security_groups go together"),
        (
            {"network_isolation": True, "wandb_secret": f"{SECRET}w-AbCdEf"},
            "reaches nothing, not even its secrets",
        ),
        ({"wandb_secret": "my-api-key"}, "wandb_secret = 'my-api-key'"),
        ({"tags": {"aws:x": "y"}}, "reserved prefix"),
        ({"instance_type": "g5.2xlarge"}, "instance_type = 'g5.2xlarge'"),
        ({"instance_tpye": "ml.g5.2xlarge"}, "Did you mean 'instance_type'?"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        SagemakerOptions(**options)
    assert words in str(raised.value)


def test_a_region_without_the_image_is_named() -> None:
    assert ".amazonaws.com.cn/" in training_image("cn-north-1")
    with pytest.raises(ConfigError, match="no Hugging Face training image in 'mars-1'"):
        training_image("mars-1")
