"""The bridge to AWS's own SDK, for those who live in it. Nothing else imports it."""

from __future__ import annotations

from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.errors import ConfigError


def training_job(account: Account, name: str) -> Any:
    """Return `sagemaker.core.resources.TrainingJob` of a job; ConfigError without the SDK."""
    try:
        import boto3
        from sagemaker.core.resources import TrainingJob
    except ImportError:
        raise ConfigError(
            "the SageMaker SDK is not installed: pip install 'lensa[sagemaker]'"
        ) from None
    session = boto3.Session(region_name=account.region, profile_name=account.profile)
    return TrainingJob.get(training_job_name=name, session=session, region=account.region)
