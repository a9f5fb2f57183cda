"""A stack as CloudFormation describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")  # it begins the names of roles and secrets

# Of a change set that was never executed: there is a name, and nothing else.
EMPTY = "REVIEW_IN_PROGRESS"
# What such a stack has is of no use, and CloudFormation will only delete it.
STUCK = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
GOOD = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


@dataclass(frozen=True)
class Stack:
    """One stack; `id` is its ARN, which still finds it when its name does not any more."""

    id: str
    name: str
    status: str
    reason: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def moving(self) -> bool:
        """Whether something is being done to it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != EMPTY


def check_name(name: str) -> str:
    """Return a stack's name; ConfigError if CloudFormation would not take it."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a stack: 1 to 64 letters, digits and hyphens, a letter first."
        )
    return name


def find(account: Account, name: str) -> Stack | None:
    """Return the stack of a name or id, None if there is none."""
    from botocore.exceptions import ClientError

    client = account.client("cloudformation")
    with explained(f"looking up the stack {name}"):
        try:
            (found,) = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error_code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    return _read(found)


def _read(found: dict[str, Any]) -> Stack:
    return Stack(
        id=found["StackId"],
        name=found["StackName"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        parameters={
            each["ParameterKey"]: each.get("ParameterValue", "")
            for each in found.get("Parameters", [])
        },
        outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
    )
