"""What AWS asks of models, configurations and endpoints, and how they are listed and tagged."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from twinendpoints import config, make, model, prefix, role, upload_model

from lensa.testing import SagemakerTwin


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"ModelDataSource": prefix("s3://lensa-twin/models/none/")},
            "Could not access model data",
        ),
        ({"ModelDataSource": prefix("s3://lensa-twin/models/here")}, "end with a forward slash"),
        ({"ModelDataUrl": "s3://lensa-twin/m.tar.gz"}, "mutually exclusive"),
        ({"Mode": "MultiModel"}, "lensa.testing has no multi-model containers"),
        ({"Image": ""}, "Member must satisfy regular expression pattern"),
        ({"Image": "lensa-serving:1"}, "Using non-ECR image"),
        ({"Environment": {f"V{n}": "x" for n in range(101)}}, "length less than or equal to 100"),
    ],
)
def test_a_model_that_could_not_run_is_refused(
    sagemaker_twin: SagemakerTwin, changes: dict[str, Any], words: str
) -> None:
    uri = upload_model(sagemaker_twin, "models/here", "hello")
    with pytest.raises(ClientError, match=words) as caught:
        sagemaker_twin.client("sagemaker").create_model(
            **model(sagemaker_twin, "here", uri, **changes)
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_role_that_may_not_read_the_model_is_refused(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    uri = upload_model(sagemaker_twin, "models/here", "hello")
    asked = model(sagemaker_twin, "here", uri)
    for name, actions in (("blind", "s3:ListBucket"), ("seeing", "s3:GetObject")):
        arn = role(sagemaker_twin, name, "sagemaker.amazonaws.com", actions)
        if name == "blind":
            with pytest.raises(ClientError, match="Could not access model data"):
                sagemaker.create_model(**{**asked, "ExecutionRoleArn": arn})
        else:
            sagemaker.create_model(**{**asked, "ExecutionRoleArn": arn})


def test_names_are_taken_once_and_have_to_be_there(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    uri = upload_model(sagemaker_twin, "models/here", "hello")
    with pytest.raises(ClientError, match='Could not find model "arn:aws:sagemaker:us-east-1:'):
        sagemaker.create_endpoint_config(**config("here", "here"))
    with pytest.raises(ClientError, match='Could not find endpoint configuration "arn:'):
        sagemaker.create_endpoint(EndpointName="here", EndpointConfigName="here")
    with pytest.raises(ClientError, match="Could not assume role"):
        sagemaker.create_model(
            **{
                **model(sagemaker_twin, "here", uri),
                "ExecutionRoleArn": "arn:aws:iam::123456789012:role/nobody",
            }
        )
    make(sagemaker_twin)
    for call, parameters, kind in (
        (sagemaker.create_model, model(sagemaker_twin, "here", uri), "model"),
        (sagemaker.create_endpoint_config, config("here", "here"), "endpoint configuration"),
        (
            sagemaker.create_endpoint,
            {"EndpointName": "here", "EndpointConfigName": "here"},
            "endpoint",
        ),
    ):
        with pytest.raises(ClientError, match=f'Cannot create already existing {kind} "arn:'):
            call(**parameters)


def test_an_endpoint_counts_against_its_quota(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.quotas["ml.g5.xlarge for endpoint usage"] = 0
    with pytest.raises(ClientError, match="for endpoint usage' is 0 Instances") as caught:
        make(sagemaker_twin)
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    assert sagemaker_twin.endpoints == {}


@pytest.mark.parametrize(
    ("whole", "variant", "words"),
    [
        ({"KmsKeyId": "k"}, {}, "KmsKeyId is not supported for instance type ml.g5.xlarge"),
        ({}, {"VolumeSizeInGB": 30}, "VolumeSizeInGB is not supported"),
        ({}, {"ContainerStartupHealthCheckTimeoutInSeconds": 3601}, "less than or equal to 3600"),
    ],
)
def test_a_configuration_that_could_not_run_is_refused(
    sagemaker_twin: SagemakerTwin, whole: dict[str, Any], variant: dict[str, Any], words: str
) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    uri = upload_model(sagemaker_twin, "models/here", "hello")
    sagemaker.create_model(**model(sagemaker_twin, "here", uri))
    with pytest.raises(ClientError, match=words):
        sagemaker.create_endpoint_config(**config("here", "here", **variant), **whole)


def test_lists_come_in_pages_by_name_and_status(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    uri = upload_model(sagemaker_twin, "models/here", "hello")
    for number in range(12):
        sagemaker.create_model(**model(sagemaker_twin, f"m-{number:02}", uri))
    pages = list(sagemaker.get_paginator("list_models").paginate(SortBy="Name"))
    assert [len(page["Models"]) for page in pages] == [10, 2]
    assert pages[0]["Models"][0]["ModelName"] == "m-11"  # descending, unless asked otherwise
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    assert sagemaker.list_endpoints(StatusEquals="Failed")["Endpoints"] == []
    assert len(sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"]) == 1


def test_a_real_time_endpoint_has_a_machine(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    with pytest.raises(ClientError, match="must be 1 or more"):
        sagemaker_twin.client("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName="here",
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}],
        )


def test_an_update_needs_the_old_configuration_to_be_there(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_endpoint_config(**config("newer", "here"))
    sagemaker.delete_endpoint_config(EndpointConfigName="here")
    with pytest.raises(ClientError, match=r'Could not find endpoint configuration "arn:.*/here"'):
        sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="newer")


def test_tags_of_what_belongs_to_an_endpoint(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    make(sagemaker_twin)
    arn = sagemaker.describe_model(ModelName="here")["ModelArn"]
    sagemaker.add_tags(
        ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    )
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.list_tags(ResourceArn=arn.replace("here", "nobody"))
