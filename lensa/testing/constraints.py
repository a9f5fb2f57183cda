"""What AWS asks of a CreateTrainingJob request beyond the shape of each of its fields."""

from __future__ import annotations

import re
from typing import Any

from lensa.testing.answers import AwsError
from lensa.testing.roles import check_role

_DAY = 86_400
# Families with a disk of their own, whose encryption is the hardware's.
LOCAL_DISKS = ("ml.g4dn.", "ml.g5.", "ml.g6.", "ml.g6e.", "ml.p4d.", "ml.p4de.", "ml.p5.")


def check_training_job(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the request with AWS's defaults in it.

    Raises AwsError as AWS does, and for what AWS would run and the twin cannot.
    """
    request = dict(asked)
    algorithm = request.get("AlgorithmSpecification", {})
    resources = request.setdefault("ResourceConfig", {})
    if not algorithm.get("TrainingImage") and not algorithm.get("AlgorithmName"):
        raise invalid(
            "Either TrainingImage or AlgorithmName must be specified in AlgorithmSpecification."
        )
    for name in ("InstanceType", "VolumeSizeInGB"):
        if not resources.get(name):
            raise invalid(f"ResourceConfig.{name} must be specified.")
    resources.setdefault("InstanceCount", 1)
    limits = {"MaxRuntimeInSeconds": _DAY, **request.get("StoppingCondition", {})}
    request["StoppingCondition"] = limits
    _check_instance(resources)
    _check_spot(request, limits, resources)
    check_role(request["RoleArn"])
    _check_channels(request.get("InputDataConfig", []))
    _check_twin_can(request)
    return request


def _check_instance(resources: dict[str, Any]) -> None:
    instance = resources["InstanceType"]
    if resources.get("VolumeKmsKeyId") and instance.startswith(LOCAL_DISKS):
        raise invalid(
            f"VolumeKmsKeyId is not supported for instance type {instance}: its local storage is "
            "encrypted by a hardware module on the instance."
        )


def _check_spot(request: dict[str, Any], limits: dict[str, Any], resources: dict[str, Any]) -> None:
    wait = limits.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < limits["MaxRuntimeInSeconds"]:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds"
            )
        if resources.get("KeepAlivePeriodInSeconds"):
            raise invalid(
                "KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is set "
                "to true."
            )
    elif wait is not None:
        raise invalid(
            "MaxWaitTimeInSeconds can only be set when EnableManagedSpotTraining is set to true."
        )


def _check_channels(channels: list[dict[str, Any]]) -> None:
    names = [channel["ChannelName"] for channel in channels]
    if twice := {name for name in names if names.count(name) > 1}:
        raise invalid(f"Channel names must be unique: {', '.join(sorted(twice))}")
    for channel in channels:
        if not channel["DataSource"]:
            raise invalid(f"The data source of channel {channel['ChannelName']} is empty.")


def _check_twin_can(request: dict[str, Any]) -> None:
    """Refuse in plain words what AWS would run and the twin does not."""
    algorithm = request["AlgorithmSpecification"]
    if not algorithm.get("ContainerEntrypoint"):
        raise cannot("runs ContainerEntrypoint and ContainerArguments, not what an image starts")
    if request["ResourceConfig"]["InstanceCount"] != 1:
        raise cannot("runs one container a job: InstanceCount has to be 1")
    for channel in request.get("InputDataConfig", []):
        name, source = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
        if channel.get("InputMode", algorithm["TrainingInputMode"]) == "Pipe":
            raise cannot(f"has no Pipe mode (channel {name})")
        if source is None or source["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
            raise cannot(f"reads S3Prefix and ManifestFile only (channel {name})")
    for metric in algorithm.get("MetricDefinitions", []):
        try:
            re.compile(metric["Regex"])
        except re.error as problem:
            what = f"reads Python's regular expressions: {metric['Regex']!r}, {problem}"
            raise cannot(what) from None
    path = request.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints")
    if not path.startswith("/opt/ml/"):
        raise cannot(f"has only /opt/ml: CheckpointConfig.LocalPath is {path}")


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def cannot(what: str) -> AwsError:
    return AwsError("ValidationException", f"lensa.testing {what}. AWS may well accept it.")
