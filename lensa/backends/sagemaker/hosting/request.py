"""CreateModel and CreateEndpointConfig: pure functions from what is known to exact parameters.

A model and a configuration never change. Each is called after its endpoint and its own content, so
that what differs has another name, and what is the same is there already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lensa import __version__
from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.hosting.scaling import VARIANT
from lensa.backends.sagemaker.instances import has_gpu, takes_volume_key
from lensa.contract.environment import AVATARS, DEADLINE, MAX_ANSWER_BYTES, SECRETS
from lensa.contract.names import digest

VERSION_TAG = "lensa:version"
ENDPOINT_TAG = "lensa:endpoint"
KEEP_TAG = "lensa:keep"
EXTEND_TAG = "lensa:extend"
AVATAR_TAG = "lensa:avatar"  # the one that a request gets which names none
DEPLOYMENT_TAG = "lensa:deployment"  # the call of `deploy` that created the endpoint

_OWN_NAME = re.compile(r"(lensa-.+)-[0-9a-f]{8}")

OWN_AMI = "al2-ami-sagemaker-inference-gpu-3-1"  # driver 550, CUDA 12.4

# SageMaker gives up on an answer after 60 seconds, and on an asynchronous one after an hour.
_DEADLINES = {False: "55", True: "3000"}
# Requests; 100 may wait otherwise. They are drawn one at a time, ten seconds each on a small GPU:
# whoever waits behind more than six would have been given up on by SageMaker before it is drawn.
_QUEUE = "6"
_ANY_LENGTH = "2000000000"  # bytes; multi-model-server's own limit is 6.5 MB, and costs its worker

# A base model of several gigabytes, from the bucket or from the hub, and an image of 10 GB.
_DOWNLOAD_SECONDS = 1800
_HEALTH_SECONDS = 1800


@dataclass(frozen=True)
class Inputs:
    """What an endpoint's container is made of. `model` and `base` are keys below the prefix."""

    endpoint: str
    model: str
    base: str | None  # a mirror; None: the container gets it from the hub, or makes it by code
    image: str
    role: str
    uri: Callable[[str], str]  # a key's s3:// address
    kms_key: str | None = None

    @property
    def shelf(self) -> str:
        return self.uri(keys.shelf(self.endpoint))


def model_request(inputs: Inputs, options: DeployOptions) -> dict[str, Any]:
    """Return the parameters of CreateModel."""
    container: dict[str, Any] = {
        "Image": inputs.image,
        "ModelDataSource": {"S3DataSource": _folder(inputs.uri(inputs.model))},
        "Environment": environment(inputs, options),
    }
    if inputs.base is not None:
        container["AdditionalModelDataSources"] = [
            {"ChannelName": "base", "S3DataSource": _folder(inputs.uri(inputs.base))}
        ]
    request: dict[str, Any] = {
        "PrimaryContainer": container,
        "ExecutionRoleArn": inputs.role,
        "EnableNetworkIsolation": options.network_isolation,
    }
    if options.subnets:
        request["VpcConfig"] = {
            "Subnets": list(options.subnets),
            "SecurityGroupIds": list(options.security_groups),
        }
    return {"ModelName": _named(inputs.endpoint, request), **request, **_tagged(inputs, options)}


def config_request(inputs: Inputs, options: DeployOptions, model: str) -> dict[str, Any]:
    """Return the parameters of CreateEndpointConfig for a model of that name."""
    variant: dict[str, Any] = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InstanceType": options.instance_type,
        "InitialInstanceCount": 1,
        "ModelDataDownloadTimeoutInSeconds": _DOWNLOAD_SECONDS,
        "ContainerStartupHealthCheckTimeoutInSeconds": _HEALTH_SECONDS,
    }
    if (ami := machine_image(options)) is not None:
        variant["InferenceAmiVersion"] = ami
    request: dict[str, Any] = {"ProductionVariants": [variant]}
    if inputs.kms_key and takes_volume_key(options.instance_type):
        request["KmsKeyId"] = inputs.kms_key
    if options.asynchronous:
        output = {
            "S3OutputPath": inputs.uri(keys.answers(inputs.endpoint)),
            "S3FailurePath": inputs.uri(keys.failures(inputs.endpoint)),
            **({"KmsKeyId": inputs.kms_key} if inputs.kms_key else {}),
        }
        # One at a time waits in SageMaker's queue, which outlives the machine, instead of in ours.
        request["AsyncInferenceConfig"] = {
            "OutputConfig": output,
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1},
        }
    name = _named(inputs.endpoint, request)
    return {"EndpointConfigName": name, **request, **_tagged(inputs, options)}


def machine_image(options: DeployOptions) -> str | None:
    """Return the version of what the machine itself runs, below the container; None: SageMaker's.

    By default that has a driver of CUDA 11.4, with which our own image would draw on the CPU. AWS
    knows what its images need.
    """
    if options.ami is not None:
        return options.ami
    own = options.serving == "own" and has_gpu(options.instance_type)
    return OWN_AMI if own else None


def environment(inputs: Inputs, options: DeployOptions) -> dict[str, str]:
    """Return what the container is told."""
    told = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # the model folder stays as it is
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",  # each one holds a model of its own
        "MMS_JOB_QUEUE_SIZE": _QUEUE,
        DEADLINE: _DEADLINES[options.asynchronous],
    }
    if options.asynchronous:  # answers go to S3, whatever their length
        told[MAX_ANSWER_BYTES] = "0"
        told["MMS_MAX_REQUEST_SIZE"] = told["MMS_MAX_RESPONSE_SIZE"] = _ANY_LENGTH
    if options.hub_secret:  # the ARN alone: anyone who may describe the model reads this
        told[SECRETS] = json.dumps({"HF_TOKEN": options.hub_secret}, separators=(",", ":"))
    if options.network_isolation:
        told["HF_HUB_OFFLINE"] = "1"
    else:
        told[AVATARS] = inputs.shelf
    return told


def tags(endpoint: str, options: DeployOptions, avatar: str | None = None) -> list[dict[str, str]]:
    """Return the tags of everything that belongs to an endpoint, and its own with `avatar`."""
    ours = {VERSION_TAG: __version__, ENDPOINT_TAG: endpoint, KEEP_TAG: options.keep}
    if avatar is not None:
        ours[AVATAR_TAG] = avatar
    if options.extend:
        ours[EXTEND_TAG] = "yes"
    return [{"Key": key, "Value": value} for key, value in {**ours, **options.tags}.items()]


def endpoint_of(name: str) -> str | None:
    """Return the endpoint that a model or a configuration is called after; None if it is none of
    ours."""
    found = _OWN_NAME.fullmatch(name)
    return found[1] if found else None


def _named(endpoint: str, request: dict[str, Any]) -> str:
    return f"{endpoint}-{digest(request)[:8]}"


def _tagged(inputs: Inputs, options: DeployOptions) -> dict[str, Any]:
    return {"Tags": tags(inputs.endpoint, options)}


def _folder(uri: str) -> dict[str, str]:
    return {"S3Uri": f"{uri}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
