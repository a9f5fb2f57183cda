"""An endpoint as AWS tells it: what it is, what it is made of, and what has to be known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.options import FOREVER, lifetime
from lensa.backends.sagemaker.hosting.request import (
    DEPLOYMENT_TAG,
    EXTEND_TAG,
    KEEP_TAG,
    VERSION_TAG,
)
from lensa.backends.sagemaker.refusals import error_code, explained

SETTLED = frozenset(["InService", "Failed", "OutOfService", "UpdateRollbackFailed"])


@dataclass(frozen=True)
class EndpointState:
    """DescribeEndpoint, with its tags."""

    name: str
    status: str  # as SageMaker has it: Creating, InService, ...
    config: str
    created: datetime
    reason: str = ""  # of a failure
    instances: int = 0  # that run now
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether it can be updated and deleted; on its way from one state to another it cannot."""
        return self.status in SETTLED

    @property
    def ours(self) -> bool:
        return self.name.startswith("lensa-") and VERSION_TAG in self.tags

    @property
    def keep(self) -> str:
        return self.tags.get(KEEP_TAG, "")

    @property
    def forever(self) -> bool:
        return self.keep == FOREVER

    @property
    def extend(self) -> bool:
        return EXTEND_TAG in self.tags

    @property
    def deployment(self) -> str:
        """The call of `deploy` that created it."""
        return self.tags.get(DEPLOYMENT_TAG, "")

    @property
    def due(self) -> datetime | None:
        """When it was to end, as its tags have it, if that was never moved; None: never, or nobody
        knows."""
        try:
            kept = lifetime(self.keep)
        except ValueError:
            return None
        return None if kept is None else self.created + kept


def describe(account: Account, name: str) -> EndpointState | None:
    """Return the state of an endpoint, or None if there is none of that name."""
    client = account.client("sagemaker")
    with explained(f"asking for the endpoint {name}"):
        found = found_or_none(lambda: client.describe_endpoint(EndpointName=name))
        if found is None:
            return None
        tags = tags_of(account, found["EndpointArn"])
        # What has gone between the two questions has no tags, and is not for that somebody else's.
        if not tags and found_or_none(lambda: client.describe_endpoint(EndpointName=name)) is None:
            return None
    return endpoint_state(found, tags)


def endpoint_state(found: dict[str, Any], tags: dict[str, str] | None = None) -> EndpointState:
    """Read a description."""
    variants = found.get("ProductionVariants") or [{}]
    return EndpointState(
        name=found["EndpointName"],
        status=found["EndpointStatus"],
        config=found.get("EndpointConfigName", ""),
        created=found["CreationTime"],
        reason=found.get("FailureReason", ""),
        instances=sum(int(one.get("CurrentInstanceCount") or 0) for one in variants),
        tags=tags or {},
    )


def status(account: Account, name: str) -> EndpointState | None:
    """Return the state without its tags, which costs one question less; None if it is gone."""
    client = account.client("sagemaker")
    with explained(f"asking for the endpoint {name}"):
        found = found_or_none(lambda: client.describe_endpoint(EndpointName=name))
    return endpoint_state(found) if found is not None else None


def tags_of(account: Account, arn: str) -> dict[str, str]:
    """Return the tags of one of SageMaker's resources; none if it is gone."""
    client = account.client("sagemaker")
    with explained("reading tags"):
        pages = found_or_none(
            lambda: list(client.get_paginator("list_tags").paginate(ResourceArn=arn))
        )
    return {tag["Key"]: tag["Value"] for page in pages or [] for tag in page["Tags"]}


def found_or_none(call: Any) -> Any:
    """Return what a call returns; None if what it asks for is not there.

    SageMaker says that with ValidationException, and in several wordings.
    """
    from botocore.exceptions import ClientError

    try:
        return call()
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def accepted(change: Callable[[], Any]) -> bool:
    """Make a change of an endpoint. False if it is on its way to another state: not now.

    That can begin between a look and the change: its number of machines changes by itself.
    """
    from botocore.exceptions import ClientError

    try:
        change()
    except ClientError as error:
        if error_code(error) == "ValidationException" and "in-progress" in str(error):
            return False
        raise
    return True


def is_missing(error: Exception) -> bool:
    """Whether AWS says that something is not there."""
    code = error_code(error)
    if code in {"ResourceNotFound", "ResourceNotFoundException"}:
        return True
    words = str(error).lower()
    return code in {"ValidationException", "ValidationError"} and (
        "could not find" in words or "not found" in words or "does not exist" in words
    )
