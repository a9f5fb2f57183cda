"""Who we are, and where."""

from __future__ import annotations

from lensa.backends.findings import Finding, failed, ok
from lensa.backends.sagemaker.account import Account
from lensa.errors import LensaError

NAME = "credentials"

_REGION = "Name one: --region eu-west-1, or LENSA_REGION."
_WHO = "To see whom AWS takes you for: aws sts get-caller-identity"


def find_identity(account: Account) -> Finding:
    """Ask STS. Without an answer there is nothing else to ask, so no answer is a failure too."""
    try:
        region = f"{account.region} ({account.partition})"
    except LensaError as error:
        return failed("region", str(error), _REGION, type(error))
    try:
        return ok(NAME, f"account {account.id} in {region}, as {account.caller}")
    except LensaError as error:
        return failed(NAME, str(error), _WHO, type(error))
