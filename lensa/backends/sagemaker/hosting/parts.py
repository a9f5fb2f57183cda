"""The models and configurations that belong to an endpoint, whether it is there (still) or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.hosting.request import KEEP_TAG, VERSION_TAG, endpoint_of
from lensa.backends.sagemaker.hosting.state import found_or_none, tags_of
from lensa.backends.sagemaker.refusals import explained


@dataclass(frozen=True)
class Part:
    """A model or an endpoint configuration of ours."""

    kind: str  # "model" or "endpoint configuration"
    name: str
    endpoint: str
    created: datetime
    keep: str  # how long its endpoint was to be kept


@dataclass(frozen=True)
class Contents:
    """What a configuration of ours serves."""

    config: str
    instance_type: str
    asynchronous: bool
    model: str
    folder: str  # the key of its model folder, below the bucket's prefix
    image: str
    isolated: bool


def configs(account: Account, endpoint: str | None = None) -> list[Part]:
    """Return the configurations of an endpoint, or of all endpoints of ours."""
    return list(_ours(account, endpoint, "endpoint configuration", "list_endpoint_configs"))


def models(account: Account, endpoint: str | None = None) -> list[Part]:
    """Return the models of an endpoint, or of all endpoints of ours."""
    return list(_ours(account, endpoint, "model", "list_models"))


def contents(account: Account, bucket: Bucket, config: str) -> Contents | None:
    """Return what a configuration serves; None if it, or its model, is gone."""
    client = account.client("sagemaker")
    with explained(f"asking for the endpoint configuration {config}"):
        found = found_or_none(lambda: client.describe_endpoint_config(EndpointConfigName=config))
        if found is None:
            return None
        variant = found["ProductionVariants"][0]
        model = found_or_none(lambda: client.describe_model(ModelName=variant["ModelName"]))
    if model is None:
        return None
    container = model["PrimaryContainer"]
    uri = str(container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri", ""))
    return Contents(
        config=config,
        instance_type=variant["InstanceType"],
        asynchronous="AsyncInferenceConfig" in found,
        model=variant["ModelName"],
        folder=uri.removeprefix(bucket.uri("")).rstrip("/"),
        image=container.get("Image", ""),
        isolated=bool(model.get("EnableNetworkIsolation")),
    )


def _ours(account: Account, endpoint: str | None, kind: str, operation: str) -> Iterator[Part]:
    what = {"model": "Model", "endpoint configuration": "EndpointConfig"}[kind]
    pages: Any
    with explained(f"listing {kind}s"):
        pages = account.client("sagemaker").get_paginator(operation)
        found = [
            one
            for page in pages.paginate(NameContains=endpoint or "lensa-")
            for one in page[f"{what}s"]
        ]
    for one in found:
        name, arn = one[f"{what}Name"], one[f"{what}Arn"]
        owner = endpoint_of(name)
        if owner is None or (endpoint is not None and owner != endpoint):
            continue
        tags = tags_of(account, arn)
        if VERSION_TAG in tags:
            yield Part(kind, name, owner, one["CreationTime"], tags.get(KEEP_TAG, ""))
