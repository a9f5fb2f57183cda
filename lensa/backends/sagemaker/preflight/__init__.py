"""What is asked of an AWS account before anything is uploaded or paid.

    require(before_training(account, bucket, settings, options))
    require(before_deploy(account, bucket, settings, options, base))

All questions are asked, at the same time, and all failures are listed at once.
"""

from __future__ import annotations

from lensa.backends.findings import Finding, require
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.options import SagemakerOptions
from lensa.backends.sagemaker.preflight.asking import findings
from lensa.backends.sagemaker.preflight.needs import of_hosting, of_training
from lensa.contract import BaseModelRef, VaeRef
from lensa.settings import Settings

__all__ = ["before_deploy", "before_training", "findings", "require"]


def before_training(
    account: Account,
    bucket: Bucket,
    settings: Settings,
    options: SagemakerOptions,
    base: BaseModelRef | None = None,
    vae: VaeRef | None = None,
) -> list[Finding]:
    """Return what stands in the way of a training, and what does not."""
    need = of_training(settings, options, base, vae)
    return findings(account, lambda: bucket, settings.home_path, need)


def before_deploy(
    account: Account,
    bucket: Bucket,
    settings: Settings,
    options: DeployOptions,
    base: BaseModelRef | None = None,
) -> list[Finding]:
    """Return what stands in the way of an endpoint, and what does not. `base` is the avatar's."""
    need = of_hosting(settings, options, base)
    return findings(account, lambda: bucket, settings.home_path, need)
