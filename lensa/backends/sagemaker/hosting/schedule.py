"""The end of an endpoint: a one-shot entry of EventBridge Scheduler that deletes it.

It lies in the account, so that it comes whether or not anybody is there. It is made before the
endpoint, and goes with it.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.errors import AccountError

GROUP = "default"

# What the role has to be allowed. The second is of asynchronous endpoints: with one goes its
# scaling, which SageMaker takes away by the rights of whoever deletes it.
RIGHTS = ("sagemaker:DeleteEndpoint", "application-autoscaling:DeregisterScalableTarget")

_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_DELETE = ":aws-sdk:sagemaker:deleteEndpoint"

# An endpoint that is being updated at that minute cannot be deleted: it is tried for a day.
_RETRIES = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}


def schedule_request(endpoint: str, end: datetime, role: str, partition: str) -> dict[str, Any]:
    """Return the parameters of CreateSchedule and of UpdateSchedule."""
    return {
        "Name": endpoint,
        "GroupName": GROUP,
        "Description": f"lensa: the end of the endpoint {endpoint}",
        "ScheduleExpression": f"at({end.astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": f"arn:{partition}:scheduler:::aws-sdk:sagemaker:deleteEndpoint",
            "RoleArn": role,
            "Input": json.dumps({"EndpointName": endpoint}),
            "RetryPolicy": _RETRIES,
        },
    }


class Schedules:
    """The ends of endpoints in an account and region."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def end(self, endpoint: str) -> datetime | None:
        """Return when an endpoint ends, or None if nothing is going to delete it."""
        client = self._client
        with explained(f"looking up the end of {endpoint}"):
            try:
                found: dict[str, Any] = client.get_schedule(Name=endpoint, GroupName=GROUP)
            except client.exceptions.ResourceNotFoundException:
                return None
        at = _AT.fullmatch(found["ScheduleExpression"])
        if at is None or not _deletes(found, endpoint):
            return None
        return datetime.fromisoformat(at[1]).replace(tzinfo=UTC)

    def put(self, endpoint: str, end: datetime, role: str) -> None:
        """Set the end of an endpoint, whether it had one or not.

        Raises AccountError, saying what to do, if the scheduler may not assume the role.
        """
        request = schedule_request(endpoint, end, role, self._account.partition)
        client = self._client
        with explained(f"setting the end of {endpoint}"):
            try:
                try:
                    client.create_schedule(**request)
                except client.exceptions.ConflictException:
                    client.update_schedule(**request)
            except client.exceptions.ValidationException as error:
                if "role" not in str(error).lower():
                    raise
                raise AccountError(_untrusted(role, error)) from None

    def move(self, endpoint: str, end: datetime) -> None:
        """Set another end for an endpoint that has one; the role stays as it is."""
        client = self._client
        with explained(f"moving the end of {endpoint}"):
            found = client.get_schedule(Name=endpoint, GroupName=GROUP)
            role = found["Target"]["RoleArn"]
            client.update_schedule(**schedule_request(endpoint, end, role, self._account.partition))

    def remove(self, endpoint: str) -> bool:
        """Take the end back. False if there was none."""
        client = self._client
        with explained(f"removing the schedule of {endpoint}"):
            try:
                client.delete_schedule(Name=endpoint, GroupName=GROUP)
            except client.exceptions.ResourceNotFoundException:
                return False
        return True

    def names(self) -> list[str]:
        """Return the endpoints that have an end set, whether they are there or not."""
        found: list[str] = []
        with explained("listing schedules"):
            pages = self._client.get_paginator("list_schedules").paginate(
                GroupName=GROUP, NamePrefix="lensa-"
            )
            for page in pages:
                found += [
                    one["Name"]
                    for one in page["Schedules"]
                    if str(one.get("Target", {}).get("Arn", "")).endswith(_DELETE)
                ]
        return found

    @property
    def _client(self) -> Any:
        return self._account.client("scheduler")


def _deletes(schedule: dict[str, Any], endpoint: str) -> bool:
    target = schedule.get("Target", {})
    try:
        told = json.loads(target.get("Input") or "{}")
    except ValueError:
        return False
    return bool(
        schedule.get("State", "ENABLED") == "ENABLED"
        and str(target.get("Arn", "")).endswith(_DELETE)
        and told.get("EndpointName") == endpoint
    )


def _untrusted(role: str, error: Exception) -> str:
    answer = getattr(error, "response", {}).get("Error", {})
    return (
        f"no end can be set, and without one nothing is deployed: EventBridge Scheduler may not "
        f"assume the role {role} ({str(answer.get('Message') or error_code(error)).rstrip('.')}). "
        "Let its trust policy name scheduler.amazonaws.com beside sagemaker.amazonaws.com and let "
        f"it do {' and '.join(RIGHTS)}, or name another role that may: LENSA_SCHEDULER_ROLE."
    )
