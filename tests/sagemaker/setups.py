"""`lensa setup` in the twin, whose CloudFormation answers as AWS's does."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto_stacks import Stacks
from typer.testing import CliRunner, Result

from lensa.backends.sagemaker import images
from lensa.cli import app
from lensa.testing import SagemakerTwin

BUCKET = "lensa-123456789012-us-east-1"
ENDPOINT = "lensa-7k2m0000-1f3a9c2e"

# The least that AWS's image serves: it loads, and says so.
_HANDLERS = """
def model_fn(folder, context):
    return folder


def transform_fn(model, body, content_type, accept, context):
    return b"{}"
"""


@pytest.fixture(name="stacks")
def stacks_fixture(monkeypatch: pytest.MonkeyPatch) -> Stacks:
    return Stacks(monkeypatch)


@pytest.fixture(name="twin")
def twin_fixture(
    stacks: Stacks, sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch
) -> SagemakerTwin:
    monkeypatch.setenv("LENSA_POLL_SECONDS", "0.01")
    return sagemaker_twin


def setup(*arguments: str, fails: int = 0) -> Result:
    result = CliRunner().invoke(app, ["setup", *arguments])
    assert result.exit_code == fails, result.output
    return result


def stack(twin: SagemakerTwin) -> dict[str, Any]:
    (found,) = twin.client("cloudformation").describe_stacks(StackName="lensa")["Stacks"]
    return dict(found)


def outputs(twin: SagemakerTwin) -> dict[str, str]:
    return {each["OutputKey"]: each["OutputValue"] for each in stack(twin)["Outputs"]}


def is_gone(twin: SagemakerTwin) -> bool:
    try:
        twin.client("cloudformation").describe_stacks(StackName="lensa")
    except ClientError:
        return True
    return False


def make_endpoint(twin: SagemakerTwin, **config: Any) -> str:
    """Ask for an endpoint by the API itself, and return its name."""
    sagemaker, s3 = twin.client("sagemaker"), twin.client("s3")
    image = f"{images.ACCOUNTS['us-east-1']}.dkr.ecr.us-east-1.amazonaws.com/{images.INFERENCE}"
    s3.put_object(Bucket=BUCKET, Key="m/code/inference.py", Body=_HANDLERS.encode())
    source = {"S3Uri": f"s3://{BUCKET}/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    sagemaker.create_model(
        ModelName=ENDPOINT,
        ExecutionRoleArn=twin.role,
        PrimaryContainer={"Image": image, "ModelDataSource": {"S3DataSource": source}},
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": ENDPOINT,
        "InstanceType": "ml.g5.xlarge",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=ENDPOINT, ProductionVariants=[variant], **config
    )
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    return ENDPOINT
