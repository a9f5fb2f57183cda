"""The questions in their order: first who we are, then all others at the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lensa.backends.findings import Check, Finding, look, skipped
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.preflight.base_model import check_base
from lensa.backends.sagemaker.preflight.container import check_image
from lensa.backends.sagemaker.preflight.identity import find_identity
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.network import check_network
from lensa.backends.sagemaker.preflight.quotas import check_quota, check_warm_pool
from lensa.backends.sagemaker.preflight.roles import (
    check_role,
    check_scheduler_role,
    passing_the_role,
)
from lensa.backends.sagemaker.preflight.secrets import check_secrets
from lensa.backends.sagemaker.preflight.storage import check_bucket, check_rules


def findings(
    account: Account,
    bucket: Callable[[], Bucket],
    home: Path,
    need: Need,
    *,
    thorough: bool = False,
) -> list[Finding]:
    """Return what was found for `need`. Raises nothing for what AWS refuses.

    `bucket` is asked for once the account is known, after which it may be named. `thorough` also
    asks what a training or a deployment finds out by itself: what runs now, what the bucket lacks.
    """
    who = find_identity(account)
    if who.status != "ok":
        rest = ("role", "bucket", "quota", "container image")
        return [who, *(skipped(name, "AWS does not know us yet") for name in rest)]
    known = bucket()
    known.client()  # made once, before several threads want it
    return [who, *look(_checks(account, known, home, need, thorough))]


def _checks(
    account: Account, bucket: Bucket, home: Path, need: Need, thorough: bool
) -> list[Check]:
    checks = [
        check_role(account, need),
        *([check_scheduler_role(account, need)] if need.scheduled else []),
        *([passing_the_role()] if thorough else []),
        check_bucket(bucket, need),
        *([check_rules(bucket)] if thorough else []),
        check_quota(account, home, need, in_use=thorough),
        *([check_warm_pool(account, home, need)] if need.warm else []),
        check_image(account, need),
    ]
    if need.base is not None:
        checks.append(check_base(bucket, need, need.base))
    if need.secrets:
        checks.append(check_secrets(account, need))
    if need.subnets:
        checks.append(check_network(account, bucket, need))
    return checks
