"""Secrets that a container is to read: there, and filled. What is in them nobody looks at."""

from __future__ import annotations

from typing import Any

from lensa.backends.findings import Check, Finding, failed, ok
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import page, question
from lensa.errors import ConfigError

NAME = "secrets"


def check_secrets(account: Account, need: Need) -> Check:
    return question(
        NAME,
        lambda: _find(account, need.secrets),
        permission="the permission secretsmanager:DescribeSecret",
        mend=f"Your secrets: {page(account, 'secretsmanager/listsecrets?region={region}')}",
    )


def _find(account: Account, secrets: tuple[str, ...]) -> Finding:
    wrong = [trouble for secret in secrets if (trouble := _wrong(account, secret))]
    if not wrong:
        return ok(NAME, f"filled: {', '.join(secrets)}")
    words, mends = zip(*wrong, strict=True)
    return failed(NAME, " ".join(words), "\n".join(mends), ConfigError)


def _wrong(account: Account, secret: str) -> tuple[str, str] | None:
    """Return what is wrong with a secret, and what mends it."""
    region = secret.split(":")[3]
    client: Any = account.hasty_client("secretsmanager", region)
    try:
        found = client.describe_secret(SecretId=secret)
    except client.exceptions.ResourceNotFoundException:
        return f"there is no secret {secret}.", "lensa setup makes one; or name another ARN."
    if found.get("DeletedDate"):
        mend = f"aws secretsmanager restore-secret --secret-id {secret} --region {region}"
        return f"the secret {secret} is about to be deleted, and cannot be read.", mend
    stages = found.get("VersionIdsToStages") or {}
    if not any("AWSCURRENT" in each for each in stages.values()):
        return (
            f"the secret {secret} is empty.",
            f"Fill it: aws secretsmanager put-secret-value --secret-id {secret} "
            f"--secret-string file:///dev/stdin --region {region}",
        )
    return None
