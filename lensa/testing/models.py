"""botocore's descriptions of the services and its clients, loaded once a process."""

from __future__ import annotations

import os
from functools import cache
from typing import Any


@cache
def service_model(service: str) -> Any:
    """Return botocore's model of a service, or None if botocore does not know it."""
    # With a loader of its own: clients of S3 change the paths in the model that they were given.
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    try:
        return ServiceModel(Loader().load_service_model(service, "service-2"), service)
    except UnknownServiceError:
        return None


def protocol(service: str) -> str:
    """Return the protocol of a service: json, rest-json, rest-xml, query or ec2."""
    model = service_model(service)
    return "json" if model is None else str(model.metadata["protocol"])


def client(service: str, region: str, url: str, access_key: str) -> Any:
    """Return a client of the server at `url` that sees none of the user's AWS settings."""
    from botocore.config import Config

    # Loading the models is most of a client's cost: one session keeps them for all.
    return _session().client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key="twin",  # noqa: S106 - nobody checks it
        config=Config(proxies={}, max_pool_connections=32),
    )


@cache
def _session() -> Any:
    import boto3
    import botocore.session

    nothing = (None, None, os.devnull, None)
    settings = {
        "profile": (None, None, None, None),
        "config_file": nothing,
        "credentials_file": nothing,
    }
    return boto3.session.Session(botocore_session=botocore.session.Session(session_vars=settings))
