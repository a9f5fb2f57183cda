"""What a bucket of lensa's is set to. Data only; what a bucket has beside it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

CHECKPOINT_DAYS = 30
ASYNCHRONOUS_DAYS = 7  # requests and answers that nobody fetched

PRIVATE = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}

MARK = "lensa: "  # with it begin the names of our lifecycle rules
_TLS_ONLY = "LensaTlsOnly"


def encryption(kms_key: str | None) -> dict[str, Any]:
    if kms_key is None:
        return {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key}
    # A bucket key asks KMS once in a while instead of for every object, and costs accordingly.
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}]}


def policy(before: dict[str, Any] | None, partition: str, bucket: str) -> dict[str, Any]:
    """Return a bucket policy with our statement in it, and all others as they are."""
    whole = before or {"Version": "2012-10-17", "Statement": []}
    present = whole["Statement"]
    statements = present if isinstance(present, list) else [present]  # a lone one may stand bare
    arn = f"arn:{partition}:s3:::{bucket}"
    ours = {
        "Sid": _TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    others = [statement for statement in statements if statement.get("Sid") != _TLS_ONLY]
    return {**whole, "Statement": [*others, ours]}


def lifecycle(
    before: Iterable[dict[str, Any]], key: Callable[[str], str], photo_days: int
) -> list[dict[str, Any]]:
    """Return a bucket's lifecycle rules with ours for one prefix, and all others as they are."""
    ours = [
        _expiry("photos", key("photos/"), photo_days),
        _expiry("checkpoints", key("checkpoints/"), CHECKPOINT_DAYS),
        _expiry("asynchronous requests", key("async/"), ASYNCHRONOUS_DAYS),
        {
            "ID": f"{MARK}broken uploads in {key('')}",
            "Status": "Enabled",
            "Filter": {"Prefix": key("")},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    ]
    names = {rule["ID"] for rule in ours}
    others = [_filtered(rule) for rule in before if rule.get("ID") not in names]
    return [*others, *ours]


def _filtered(rule: dict[str, Any]) -> dict[str, Any]:
    """Return an old rule in the form of today: S3 takes no mixture of the two."""
    if "Prefix" not in rule:
        return rule
    return {
        **{k: v for k, v in rule.items() if k != "Prefix"},
        "Filter": {"Prefix": rule["Prefix"]},
    }


def expires(rule: dict[str, Any], prefix: str) -> bool:
    """Whether a rule lets everything below a prefix expire."""
    covers = _filtered(rule).get("Filter", {}).get("Prefix", "")
    return rule.get("Status") == "Enabled" and "Expiration" in rule and prefix.startswith(covers)


def _expiry(what: str, prefix: str, days: int) -> dict[str, Any]:
    return {
        "ID": f"{MARK}{what} in {prefix}",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": days},
        # In a versioned bucket expiry alone only hides an object.
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }
