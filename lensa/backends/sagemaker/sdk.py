"""The bridge to AWS's own SDK, for those who live in it. Nothing else imports it."""

from __future__ import annotations

from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.errors import ConfigError


def training_job(account: Account, name: str) -> Any:
    """Return `sagemaker.core.resources.TrainingJob` of a job; ConfigError without the SDK."""
    return _resource("TrainingJob").get(training_job_name=name, **_session(account))


def endpoint(account: Account, name: str) -> Any:
    """Return `sagemaker.core.resources.Endpoint` of an endpoint; ConfigError without the SDK."""
    return _resource("Endpoint").get(endpoint_name=name, **_session(account))


def _resource(kind: str) -> Any:
    try:
        from sagemaker.core import resources
    except ImportError:
        raise ConfigError(
            "the SageMaker SDK is not installed: pip install 'lensa[sagemaker]'"
        ) from None
    return getattr(resources, kind)


def _session(account: Account) -> dict[str, Any]:
    import boto3  # the SDK brings it

    session = boto3.Session(region_name=account.region, profile_name=account.profile)
    return {"session": session, "region": account.region}
