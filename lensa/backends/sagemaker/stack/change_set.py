"""One change set: created and read, then executed or thrown away."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

from lensa import __version__
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import error_code, explained
from lensa.backends.sagemaker.stack import changes
from lensa.backends.sagemaker.stack.changes import Change
from lensa.backends.sagemaker.stack.state import EMPTY, Stack, find
from lensa.backends.sagemaker.stack.template import template_body
from lensa.errors import AccountError

# What CloudFormation says of a change that changes nothing. There is no code for it.
_NOTHING = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class ChangeSet:
    """What would be done to a stack. Nothing has happened yet."""

    id: str
    stack: Stack
    changes: list[Change]


def propose(
    account: Account,
    name: str,
    *,
    new: bool,
    parameters: list[dict[str, str | bool]],
    seconds: float,
) -> ChangeSet | None:
    """Create a change set and wait until CloudFormation has worked out what it would do.

    None: nothing would change. AccountError says why it cannot be done.
    """
    from botocore.exceptions import ClientError

    client = account.client("cloudformation")
    with explained(f"asking CloudFormation what would change in the stack {name}"):
        try:
            made = client.create_change_set(
                StackName=name,
                ChangeSetName=f"lensa-{uuid.uuid4().hex[:12]}",
                ChangeSetType="CREATE" if new else "UPDATE",
                Description=f"lensa setup {__version__}",
                TemplateBody=template_body(),
                Parameters=parameters,
                Capabilities=["CAPABILITY_IAM"],
            )
        except ClientError as error:
            if error_code(error) == "ValidationError" and _changes_nothing(str(error)):
                return None
            raise
        described = _settled(client, made["Id"], seconds)
    stack = find(account, made["StackId"])
    assert stack is not None, "a change set belongs to a stack"
    change_set = ChangeSet(made["Id"], stack, changes.read(described["Changes"]))
    if described["Status"] == "FAILED":
        reason = described.get("StatusReason", "no reason given")
        discard(account, change_set)
        if _changes_nothing(reason):
            return None
        raise AccountError(f"CloudFormation refuses the change: {reason.rstrip('.')}.")
    return change_set


def execute(account: Account, change_set: ChangeSet) -> None:
    """Begin the change; it then goes on without us."""
    client = account.client("cloudformation")
    with explained(f"changing the stack {change_set.stack.name}"):
        client.execute_change_set(ChangeSetName=change_set.id, StackName=change_set.stack.id)


def discard(account: Account, change_set: ChangeSet) -> None:
    """Throw a change set away, and with it the stack that has nothing else."""
    client = account.client("cloudformation")
    with explained(f"throwing away what was proposed for the stack {change_set.stack.name}"):
        client.delete_change_set(ChangeSetName=change_set.id, StackName=change_set.stack.id)
        if change_set.stack.status == EMPTY:
            client.delete_stack(StackName=change_set.stack.id)


def _settled(client: Any, change_set: str, seconds: float) -> dict[str, Any]:
    """Return a change set that is not being worked out any more, with all its changes."""
    while True:
        found: dict[str, Any] = client.describe_change_set(ChangeSetName=change_set)
        if found["Status"] not in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
            break
        time.sleep(seconds)
    every, page = list(found.get("Changes", [])), found
    while page.get("NextToken"):
        page = client.describe_change_set(ChangeSetName=change_set, NextToken=page["NextToken"])
        every += page.get("Changes", [])
    return {**found, "Changes": every}


def _changes_nothing(reason: str) -> bool:
    return any(words in reason for words in _NOTHING)
