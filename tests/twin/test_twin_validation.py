"""What AWS refuses, the twin refuses: in the same words as far as they are known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from twinjobs import channel, request

from lensa.testing import SagemakerTwin
from lensa.testing.answers import AwsError
from lensa.testing.shapes import check_input


def refused(twin: SagemakerTwin, asked: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as error:
        twin.client("sagemaker").create_training_job(**asked)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    assert twin.jobs == {}
    return str(error.value.response["Error"]["Message"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"TrainingJobName": "under_score"},
            "1 validation error detected: Value 'under_score' at 'trainingJobName' failed to "
            "satisfy constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            {"TrainingJobName": "n" * 64},
            "at 'trainingJobName' failed to satisfy constraint: Member must have length less than "
            "or equal to 63",
        ),
        (
            {
                "ResourceConfig": {
                    "InstanceType": "ml.g99.large",
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 30,
                }
            },
            "Value 'ml.g99.large' at 'resourceConfig.instanceType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [",
        ),
        (
            {"Environment": {"KEY": "x" * 513}},
            "Map value must satisfy constraint: ['Member must have length less than or equal to "
            "512'",
        ),
        (
            {
                "ResourceConfig": {
                    "InstanceType": "ml.g5.xlarge",
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 30,
                    "KeepAlivePeriodInSeconds": 21601,
                }
            },
            "Value '21601' at 'resourceConfig.keepAlivePeriodInSeconds' failed to satisfy "
            "constraint: Member must have value less than or equal to 21600",
        ),
        ({"HyperParameters": {"a": "x" * 2501}}, "less than or equal to 2500"),
        ({"Tags": [{"Key": "k" * 129, "Value": ""}]}, "at 'tags.1.member.key'"),
        (
            {"TrainingJobName": "a_b", "HyperParameters": {"a": "x" * 2501}},
            "2 validation errors detected: ",
        ),
        ({"RoleArn": "arn:aws:iam::123456789012:role/nobody"}, "Could not assume role"),
        (
            {"InputDataConfig": [channel(f"c{n}", "s3://b/c/") for n in range(21)]},
            "at 'inputDataConfig' failed to satisfy constraint: Member must have length less than "
            "or equal to 20",
        ),
    ],
)
def test_a_field_out_of_its_bounds_is_refused(
    sagemaker_twin: SagemakerTwin, changes: dict[str, Any], message: str
) -> None:
    assert message in refused(sagemaker_twin, request(sagemaker_twin) | changes)


def test_arguments_keep_to_one_line(sagemaker_twin: SagemakerTwin) -> None:
    asked = request(sagemaker_twin)
    asked["AlgorithmSpecification"]["ContainerArguments"] = ["two\nlines"]
    place = "'algorithmSpecification.containerArguments.1.member'"
    assert place in refused(sagemaker_twin, asked)


def test_unicode_in_tags_is_no_problem() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/x"
    check_input("sagemaker", "AddTags", {"ResourceArn": arn, "Tags": [{"Key": "é", "Value": "日"}]})
    with pytest.raises(AwsError, match="Member must not be null"):
        check_input("sagemaker", "AddTags", {"ResourceArn": arn})


def test_a_second_job_of_the_same_name_is_refused(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_training_job(**request(sagemaker_twin, steps=1))
    sagemaker_twin.jobs["job"].wait()
    with pytest.raises(
        sagemaker.exceptions.ResourceInUse,
        match=r"already exists \(arn:aws:sagemaker:us-east-1:123456789012:training-job/job\)",
    ):
        sagemaker.create_training_job(**request(sagemaker_twin, steps=1))
    elsewhere = sagemaker_twin.client("sagemaker", region="eu-west-1")
    with pytest.raises(ClientError, match="Requested resource not found"):
        elsewhere.describe_training_job(TrainingJobName="job")


@pytest.mark.parametrize("operation", ["describe", "stop", "delete"])
def test_a_job_that_never_was_is_not_found(sagemaker_twin: SagemakerTwin, operation: str) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    with pytest.raises(ClientError) as error:
        getattr(sagemaker, f"{operation}_training_job")(TrainingJobName="nobody")
    assert error.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Requested resource not found.",
    }


@pytest.mark.parametrize("instance", ["ml.g5.2xlarge", "ml.g4dn.2xlarge"])
def test_volumes_of_instances_with_their_own_disk_take_no_key(
    sagemaker_twin: SagemakerTwin, instance: str
) -> None:
    asked = request(sagemaker_twin)
    asked["ResourceConfig"] |= {"InstanceType": instance, "VolumeKmsKeyId": "1234-abcd"}
    assert "VolumeKmsKeyId is not supported" in refused(sagemaker_twin, asked)


def test_volumes_of_other_instances_take_a_key(sagemaker_twin: SagemakerTwin) -> None:
    asked = request(sagemaker_twin, steps=1)
    asked["ResourceConfig"] |= {"InstanceType": "ml.p3.2xlarge", "VolumeKmsKeyId": "1234-abcd"}
    sagemaker_twin.client("sagemaker").create_training_job(**asked)
    assert sagemaker_twin.jobs["job"].wait().status == "Completed"


def test_spot_has_a_longer_wait_and_no_warm_pool(sagemaker_twin: SagemakerTwin) -> None:
    asked = request(sagemaker_twin, spot=True)
    for wait in ({}, {"MaxWaitTimeInSeconds": 3599}):
        limits = {"MaxRuntimeInSeconds": 3600, **wait}
        message = refused(sagemaker_twin, asked | {"StoppingCondition": limits})
        assert "greater than or equal to MaxRuntimeInSeconds" in message
    pool = {**asked["ResourceConfig"], "KeepAlivePeriodInSeconds": 600}
    assert "KeepAlivePeriod" in refused(sagemaker_twin, asked | {"ResourceConfig": pool})
    on_demand = {name: value for name, value in asked.items() if "Spot" not in name}
    assert "MaxWaitTimeInSeconds" in refused(sagemaker_twin, on_demand)


def test_what_only_aws_can_run_is_refused_in_plain_words(sagemaker_twin: SagemakerTwin) -> None:
    asked = request(sagemaker_twin)
    image_only = {
        name: value
        for name, value in asked["AlgorithmSpecification"].items()
        if not name.startswith("Container")
    }
    pipe = channel("code", f"s3://{sagemaker_twin.bucket}/code/") | {"InputMode": "Pipe"}
    unclosed = {"MetricDefinitions": [{"Name": "loss", "Regex": "("}]}
    for changes in (
        {"AlgorithmSpecification": image_only},
        {"AlgorithmSpecification": {**asked["AlgorithmSpecification"], **unclosed}},
        {"ResourceConfig": {**asked["ResourceConfig"], "InstanceCount": 2}},
        {"InputDataConfig": [pipe]},
    ):
        assert refused(sagemaker_twin, asked | changes).startswith("lensa.testing ")


def test_quotas_are_told_as_they_are_set(sagemaker_twin: SagemakerTwin) -> None:
    name = "ml.g5.2xlarge for spot training job usage"
    sagemaker_twin.quotas[name] = 7
    client = sagemaker_twin.client("service-quotas")
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    quotas = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    assert quotas[name]["Value"] == 7.0
    assert {
        "ml.g5.2xlarge for training job usage",
        "ml.g5.2xlarge for endpoint usage",
        "ml.g4dn.2xlarge for training job usage",
    } <= set(quotas)
    code = quotas[name]["QuotaCode"]
    one = client.get_service_quota(ServiceCode="sagemaker", QuotaCode=code)["Quota"]
    assert one == quotas[name]
    with pytest.raises(client.exceptions.NoSuchResourceException):
        client.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-00000000")


def test_prices_are_told_as_the_price_list_tells_them(sagemaker_twin: SagemakerTwin) -> None:
    filters = {
        "regionCode": "us-east-1",
        "instanceName": "ml.g5.2xlarge",
        "component": "Training",
        "productFamily": "ML Instance",
    }
    [product] = sagemaker_twin.client("pricing").get_products(
        ServiceCode="AmazonSageMaker",
        Filters=[
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in filters.items()
        ],
    )["PriceList"]
    [offer] = json.loads(product)["terms"]["OnDemand"].values()
    [dimension] = offer["priceDimensions"].values()
    assert float(dimension["pricePerUnit"]["USD"]) == 1.515
    assert dimension["unit"] == "Hrs"


def test_endpoints_that_are_not_there_are_refused(sagemaker_twin: SagemakerTwin) -> None:
    with pytest.raises(ClientError, match="Could not find endpoint") as error:
        sagemaker_twin.client("sagemaker").describe_endpoint(EndpointName="nobody")
    assert error.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="Endpoint nobody of account") as error:
        sagemaker_twin.client("sagemaker-runtime").invoke_endpoint(EndpointName="nobody", Body=b"")
    assert error.value.response["Error"]["Code"] == "ValidationError"


def test_endpoint_configurations_take_the_instances_of_today(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker = sagemaker_twin.client("sagemaker")
    sagemaker.create_model(
        ModelName="m",
        ExecutionRoleArn=sagemaker_twin.role,
        PrimaryContainer={"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ours:1"},
    )

    def create(instance: str) -> None:
        sagemaker.create_endpoint_config(
            EndpointConfigName=instance.replace(".", "-"),
            ProductionVariants=[
                {
                    "VariantName": "all",
                    "ModelName": "m",
                    "InstanceType": instance,
                    "InitialInstanceCount": 1,
                }
            ],
        )

    create("ml.g5.xlarge")
    create("ml.g6.2xlarge")
    with pytest.raises(ClientError, match="Member must satisfy enum value set"):
        create("ml.g99.xlarge")


def test_everything_else_is_motos(sagemaker_twin: SagemakerTwin) -> None:
    secrets = sagemaker_twin.client("secretsmanager")
    arn = secrets.create_secret(Name="token", SecretString="s")["ARN"]
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "s"
    kms = sagemaker_twin.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"]
    role = sagemaker_twin.client("iam").get_role(RoleName="lensa-twin")["Role"]
    assert role["Arn"] == sagemaker_twin.role
    schedules = sagemaker_twin.client("scheduler").list_schedules()["Schedules"]
    assert schedules == []
    services = [(call.service, call.operation) for call in sagemaker_twin.calls]
    assert services == [
        ("secretsmanager", "CreateSecret"),
        ("secretsmanager", "GetSecretValue"),
        ("kms", "CreateKey"),
        ("kms", "DescribeKey"),
        ("iam", "GetRole"),
        ("scheduler", "ListSchedules"),
    ]


def test_requests_to_s3_are_recognised_by_what_they_ask_for(
    sagemaker_twin: SagemakerTwin,
) -> None:
    s3, bucket = sagemaker_twin.client("s3"), sagemaker_twin.bucket
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a/b")["UploadId"]
    part = {"Bucket": bucket, "Key": "a/b", "UploadId": upload}
    s3.upload_part(**part, PartNumber=1, Body=b"x")
    s3.list_parts(**part)
    s3.abort_multipart_upload(**part)
    s3.list_multipart_uploads(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/é x", Body=b"", ServerSideEncryption="AES256")
    s3.list_objects_v2(Bucket=bucket, Prefix="a/")
    s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "a/é x"})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "c"}]})
    s3.get_bucket_location(Bucket=bucket)
    s3.list_buckets()
    s3.head_bucket(Bucket=bucket)
    assert [call.operation for call in sagemaker_twin.calls] == [
        "CreateMultipartUpload",
        "UploadPart",
        "ListParts",
        "AbortMultipartUpload",
        "ListMultipartUploads",
        "PutObject",
        "ListObjectsV2",
        "CopyObject",
        "DeleteObjects",
        "GetBucketLocation",
        "ListBuckets",
        "HeadBucket",
    ]
    [put] = sagemaker_twin.called("PutObject")
    assert (put["Bucket"], put["Key"], put["ServerSideEncryption"]) == (bucket, "a/é x", "AES256")
    assert sagemaker_twin.called("ListObjectsV2")[0]["Prefix"] == "a/"


def test_requests_to_ec2_are_recognised_too(sagemaker_twin: SagemakerTwin) -> None:
    sagemaker_twin.faults.fail("DescribeSubnets", "UnauthorizedOperation", "no")
    with pytest.raises(ClientError, match="no"):
        sagemaker_twin.client("ec2").describe_subnets()
    assert sagemaker_twin.calls[-1].operation == "DescribeSubnets"
