"""The one CreateTrainingJob: a pure function from what is known to its exact parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lensa import __version__
from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.instances import takes_volume_key
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.contract import TrainingConfig
from lensa.contract.consent import Consent
from lensa.contract.environment import (
    CONSENT,
    HOURLY,
    KMS_KEY,
    MAX_RUNTIME,
    SECRETS,
    class_cache_variable,
)
from lensa.contract.layout import class_cache_channel
from lensa.errors import ConfigError

_BEFORE_SECONDS = 300
LAUNCHER = "/opt/ml/input/data/code/lensa.pyz"

# What SageMaker reads from the log into metrics, from the job's own JSON lines.
METRICS = {
    "train:loss": r'"loss":([0-9.eE+-]+)',
    "train:learning_rate": r'"learning_rate":([0-9.eE+-]+)',
    "train:images_per_second": r'"images_per_second":([0-9.eE+-]+)',
    "train:step": r'"event":"progress","stage":"training","step":([0-9]+)',
    "validation:step": r'"event":"validation","step":([0-9]+)',
    **{
        f"validation:{name}": rf'"{name}":([0-9.eE+-]+)'
        for name in (
            "likeness",
            "likeness_floor",
            "likeness_ceiling",
            "retention",
            "memorisation",
            "class_drift",
            "fid",
            "kid",
        )
    },
}


@dataclass(frozen=True)
class Inputs:
    """Keys of a job's inputs below the bucket's prefix. None: that channel is left out."""

    code: str
    base: str | None = None
    class_photos: bool = False
    class_caches: Mapping[int, str] = field(default_factory=dict)  # by the concept's number
    class_caches_there: Collection[int] = ()  # those that hold something already
    consent: Consent | None = None
    hourly: float | None = None  # dollars of the machine, on demand


def training_request(
    job: str,
    config: TrainingConfig,
    options: SagemakerOptions,
    inputs: Inputs,
    *,
    image: str,
    role: str,
    uri: Callable[[str], str],
    max_seconds: int,
    kms_key: str | None = None,
) -> dict[str, Any]:
    """Return the parameters of CreateTrainingJob. `uri` turns a key into its s3:// address."""
    channels = [
        _folder("code", uri(inputs.code)),
        _folder("config", uri(keys.config(job).rpartition("/")[0])),
        _listed("photos", uri(keys.photo_list(job))),
    ]
    if inputs.base:
        channels.append(_folder("base", uri(inputs.base)))
    if inputs.class_photos:
        channels.append(_listed("class_images", uri(keys.class_photo_list(job))))
    channels += [
        _folder(class_cache_channel(number), uri(cache))
        for number, cache in inputs.class_caches.items()
        if number in inputs.class_caches_there
    ]
    stopping = {"MaxRuntimeInSeconds": max_seconds}
    if options.spot:
        stopping["MaxWaitTimeInSeconds"] = max_seconds + round(options.max_wait_hours * 3600)
    request: dict[str, Any] = {
        "TrainingJobName": job,
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            # Python itself is process 1: SIGTERM arrives, and no shell reads our values.
            "ContainerEntrypoint": ["python3", LAUNCHER],
            "ContainerArguments": ["train"],
            "MetricDefinitions": [
                {"Name": name, "Regex": regex} for name, regex in METRICS.items()
            ],
        },
        "RoleArn": role,
        # For whoever reads the console. The job itself reads the config channel.
        "HyperParameters": {
            "base": config.base.name[:256],
            "kind": config.kind,
            "method": config.method,
            "steps": str(config.steps),
        },
        "InputDataConfig": channels,
        "OutputDataConfig": {
            "S3OutputPath": uri(keys.AVATARS),
            "CompressionType": "NONE",
            **({"KmsKeyId": kms_key} if kms_key else {}),
        },
        "ResourceConfig": _machine(options, kms_key),
        "StoppingCondition": stopping,
        "CheckpointConfig": {"S3Uri": uri(keys.checkpoints(job))},
        "EnableManagedSpotTraining": options.spot,
        "EnableNetworkIsolation": options.network_isolation,
        "Environment": _environment(options, inputs, uri, max_seconds, kms_key),
        "Tags": _tags(job, options),
    }
    if options.subnets:
        request["VpcConfig"] = {
            "Subnets": list(options.subnets),
            "SecurityGroupIds": list(options.security_groups),
        }
    return request


def _machine(options: SagemakerOptions, kms_key: str | None) -> dict[str, Any]:
    machine: dict[str, Any] = {
        "InstanceType": options.instance_type,
        "InstanceCount": 1,
        "VolumeSizeInGB": options.volume_gb,
    }
    if kms_key and takes_volume_key(options.instance_type):
        if "alias/" in kms_key:
            raise ConfigError(
                f"setting kms_key: for the volume of {options.instance_type} SageMaker takes a "
                f"key's id or ARN, not {kms_key!r}."
            )
        machine["VolumeKmsKeyId"] = kms_key
    if options.warm_pool_minutes:
        machine["KeepAlivePeriodInSeconds"] = options.warm_pool_minutes * 60
    return machine


def _environment(
    options: SagemakerOptions,
    inputs: Inputs,
    uri: Callable[[str], str],
    max_seconds: int,
    kms_key: str | None,
) -> dict[str, str]:
    environment = {
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        MAX_RUNTIME: str(_in_container(max_seconds)),
    }
    secrets = {"WANDB_API_KEY": options.wandb_secret, "HF_TOKEN": options.hub_secret}
    named = {name: arn for name, arn in secrets.items() if arn}
    if named:  # the ARNs alone: anyone who may describe the job reads this
        environment[SECRETS] = json.dumps(named, separators=(",", ":"))
    if inputs.class_caches and not options.network_isolation:
        environment |= {
            class_cache_variable(number): uri(cache)
            for number, cache in inputs.class_caches.items()
        }
        if kms_key:
            environment[KMS_KEY] = kms_key
    if options.network_isolation:
        environment["HF_HUB_OFFLINE"] = "1"
    if inputs.consent is not None:
        environment[CONSENT] = inputs.consent.model_dump_json()
    if inputs.hourly is not None:
        environment[HOURLY] = f"{inputs.hourly:g}"
    return environment


def _in_container(max_seconds: int) -> int:
    """Return how much of the runtime is the container's. What the platform does before it starts
    (pulling the image, downloading the channels) may count into the limit, and it cannot see it."""
    return max(max_seconds - _BEFORE_SECONDS, max_seconds * 4 // 5)


def _tags(job: str, options: SagemakerOptions) -> list[dict[str, str]]:
    ours = {"lensa:version": __version__, "lensa:subject-id": keys.subject_of(job)}
    return [{"Key": key, "Value": value} for key, value in {**ours, **options.tags}.items()]


def _folder(name: str, uri: str) -> dict[str, Any]:
    return _channel(name, "S3Prefix", f"{uri}/")


def _listed(name: str, uri: str) -> dict[str, Any]:
    return _channel(name, "ManifestFile", uri)


def _channel(name: str, kind: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": kind,
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
        "InputMode": "File",
    }
