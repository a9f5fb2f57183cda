"""Whether a KMS key can encrypt what is written to S3."""

from __future__ import annotations

from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.errors import AccountError

_OTHERWISE = "Use another key, or none (S3 then encrypts with its own)."

_STATES = {
    "Disabled": "is disabled. Enable it: aws kms enable-key --key-id {key}. " + _OTHERWISE,
    "PendingDeletion": "is about to be deleted. To keep it: aws kms cancel-key-deletion --key-id "
    "{key}, then aws kms enable-key --key-id {key}. " + _OTHERWISE,
    "PendingImport": "has no key material yet. Import it first. " + _OTHERWISE,
}


def check_key(account: Account, key: str) -> None:
    """Raise AccountError if a key is known to be of no use in the account's region.

    Who may use a key need not be allowed to describe it; then the first write tells.
    """
    from botocore.exceptions import ClientError

    parts = key.split(":")
    if key.startswith("arn:") and len(parts) > 4 and parts[3] != account.region:
        raise AccountError(
            f"the KMS key {key} is in {parts[3]}, and lensa works in {account.region}. S3 encrypts "
            f"with keys of its own region only. {_OTHERWISE}"
        )
    with explained(f"looking up the KMS key {key}"):
        try:
            found: dict[str, Any] = account.client("kms").describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            if error_code(error) in {"AccessDeniedException", "AccessDenied"}:
                return
            raise
    state = found.get("KeyState", "Enabled")
    if state != "Enabled":
        said = _STATES.get(state, f"cannot be used now (its state is {state}). {_OTHERWISE}")
        raise AccountError(f"the KMS key {key} {said.format(key=key)}")
    if found.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        raise AccountError(
            f"the KMS key {key} is a {found['KeySpec']} key; S3 needs a symmetric one that "
            f"encrypts and decrypts. {_OTHERWISE}"
        )
