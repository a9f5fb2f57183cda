"""What AWS asks of models and endpoint configurations beyond the shape of each field."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lensa.testing.channels import split_uri
from lensa.testing.constraints import LOCAL_DISKS, cannot, invalid
from lensa.testing.roles import check_role, denied

_ECR = re.compile(
    r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/"
    r"[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


def check_model(asked: dict[str, Any], s3: Any) -> dict[str, Any]:
    """Return the request with AWS's defaults in it.

    Raises AwsError as AWS does, and for what AWS would run and the twin cannot.
    """
    request = {"EnableNetworkIsolation": False, **asked}
    if not request.get("ExecutionRoleArn"):
        raise invalid("ExecutionRoleArn must be specified.")
    check_role(request["ExecutionRoleArn"])
    if request.get("Containers"):
        if request.get("PrimaryContainer"):
            raise invalid("Specify either PrimaryContainer or Containers, not both.")
        raise cannot("runs one container a model: PrimaryContainer")
    container = request.get("PrimaryContainer")
    if not container:
        raise invalid("One of PrimaryContainer or Containers must be specified.")
    request["PrimaryContainer"] = container = {"Mode": "SingleModel", **container}
    if not container.get("Image"):
        raise invalid("PrimaryContainer: either Image or ModelPackageName must be specified.")
    private = container.get("ImageConfig", {}).get("RepositoryAccessMode") == "Vpc"
    if not private and not _ECR.fullmatch(image := container["Image"]):
        raise invalid(
            f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.'
        )
    if container["Mode"] != "SingleModel":
        raise cannot("has no multi-model containers")
    if container.get("ModelDataUrl") and container.get("ModelDataSource"):
        raise invalid(
            "ModelDataUrl and ModelDataSource are mutually exclusive: specify one of them."
        )
    if container.get("ModelDataUrl"):
        raise cannot("reads ModelDataSource (S3Prefix, not compressed), not ModelDataUrl")
    sources = [container["ModelDataSource"]] if container.get("ModelDataSource") else []
    channels = container.get("AdditionalModelDataSources", [])
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        raise invalid("Channel names of AdditionalModelDataSources must be unique.")
    for source in [*sources, *channels]:
        _check_source(source["S3DataSource"], s3, request["ExecutionRoleArn"])
    return request


def _check_source(source: dict[str, Any], s3: Any, role: str) -> None:
    uri, kind = source["S3Uri"], source["S3DataType"]
    if source["CompressionType"] != "None" or kind != "S3Prefix":
        raise cannot(f"reads S3Prefix that is not compressed, not {kind} ({uri})")
    if not uri.endswith("/"):
        raise invalid(f"S3Uri {uri} must end with a forward slash: S3DataType is S3Prefix.")
    bucket, prefix = split_uri(uri)
    try:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents", [])
    except s3.exceptions.ClientError:
        found = []
    if not found or denied(role, "s3:GetObject", f"arn:aws:s3:::{bucket}/{found[0]['Key']}"):
        raise invalid(
            f'Could not access model data at {uri}. Please ensure that the role "{role}" exists '
            'and that its trust relationship policy allows the action "sts:AssumeRole" for the '
            'service principal "sagemaker.amazonaws.com". Also ensure that the role has '
            '"s3:GetObject" permissions and that the object is located in the region of the model.'
        )


def check_config(asked: dict[str, Any], model_of: Callable[[str], Any]) -> dict[str, Any]:
    """Return the request with AWS's defaults in it.

    `model_of` raises AwsError for a model that is not there. Raises AwsError as AWS does, and for
    what AWS would run and the twin cannot.
    """
    request = dict(asked)
    variants = [{"InitialVariantWeight": 1.0, **one} for one in request["ProductionVariants"]]
    request["ProductionVariants"] = variants
    if len(variants) > 1 or request.get("ShadowProductionVariants"):
        raise cannot("runs one production variant an endpoint, and no shadows")
    [variant] = variants
    if variant.get("ServerlessConfig"):
        raise cannot("has no serverless endpoints")
    if not variant.get("ModelName"):
        raise cannot("has no inference components: a variant needs its ModelName")
    for name in ("InstanceType", "InitialInstanceCount"):
        if not variant.get(name):
            raise invalid(f"ProductionVariants: {name} must be specified.")
    model_of(variant["ModelName"])
    _check_disks(request, variant)
    if output := request.get("AsyncInferenceConfig", {}).get("OutputConfig"):
        for name in ("S3OutputPath", "S3FailurePath"):
            if output.get(name, "s3://").startswith("https"):
                raise cannot(f"reads s3:// only ({name})")
        if not output.get("S3OutputPath"):
            raise cannot("needs an S3OutputPath for asynchronous endpoints")
    return request


def _check_disks(request: dict[str, Any], variant: dict[str, Any]) -> None:
    instance = variant["InstanceType"]
    if not instance.startswith(LOCAL_DISKS):
        return
    for name, holder in (("KmsKeyId", request), ("VolumeSizeInGB", variant)):
        if holder.get(name):
            raise invalid(
                f"{name} is not supported for instance type {instance}: it has local storage, "
                "which is encrypted by a hardware module on the instance."
            )
