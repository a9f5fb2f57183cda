"""What to do about the ways in which jobs are known to fail."""

from __future__ import annotations

import re

# A pattern in SageMaker's FailureReason (which begins with the container's own) -> advice.
_KNOWN = {
    r"exit code: 137|OutOfMemory(?!.*GPU)|Killed process": (
        "The machine's own memory ran out: take an instance type with more "
        "(--set instance_type=ml.g5.4xlarge)."
    ),
    r"CapacityError|insufficient capacity|Unable to provision": (
        "AWS has no such machine free now: start it again later, take another instance_type (on "
        "one with 16 GB the recipe changes, and the training begins anew) or region, or leave spot "
        "off."
    ),
    r"ResourceLimitExceeded|service limit|quota": (
        "Ask for the quota on the Service Quotas page (Amazon SageMaker, '<instance type> for "
        "training job usage'), or take an instance type that you have."
    ),
    r"CannotPull|ImageNotFound|image .*(not found|does not exist|could not be pulled)": (
        "The container image cannot be had: the option image must name one in a registry that the "
        "role may read, in the same region."
    ),
    r"Data download failed|NoSuchKey|Please ensure that the bucket|Failed to download data": (
        "An input is no longer in the bucket (photos expire after photo_days), or the role may not "
        "read it: start the same training again, it uploads what is missing."
    ),
    r"AccessDenied|not authorized|Access Denied": (
        "The execution role lacks a permission: it needs to read and write the bucket, and to use "
        "its key and the secrets that you name."
    ),
    r"InternalServerError|Internal server error": (
        "The fault is AWS's own: start the same training again, it goes on from its last "
        "checkpoint."
    ),
    r"is gated": "For a training job the token comes from a secret: hub_secret=ARN.",
}


def advice(reason: str) -> str:
    """Return " What to do." for a known reason, or nothing."""
    for pattern, what in _KNOWN.items():
        if re.search(pattern, reason, re.IGNORECASE | re.DOTALL):
            return f" {what}"
    return ""
