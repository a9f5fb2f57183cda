"""`lensa setup --remove`: the stack goes, the bucket and its key stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lensa import configuration
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.stack.in_use import check_not_attached, check_nothing_runs
from lensa.backends.sagemaker.stack.progress import Say
from lensa.backends.sagemaker.stack.setting_up import delete, settled
from lensa.backends.sagemaker.stack.state import Stack, check_name
from lensa.backends.sagemaker.stack.template import RETAINED
from lensa.errors import NotFoundError


@dataclass(frozen=True)
class Resource:
    """One thing of a stack's: its logical name, its type, and what it is called in the account."""

    name: str
    type: str
    id: str


@dataclass(frozen=True)
class Removal:
    """What would go and what would stay, to be confirmed."""

    stack: str
    bucket: str  # it stays, whether the stack made it or not
    prefix: str
    goes: list[Resource] = field(default_factory=list)
    stays: list[Resource] = field(default_factory=list)

    @property
    def key(self) -> str | None:
        """The id of the key that stays, if the stack made one."""
        return next((each.id for each in self.stays if each.name == "Key"), None)


def tear_down(
    account: Account,
    name: str,
    *,
    confirm: Callable[[Removal], bool],
    say: Say,
    seconds: float = 5.0,
) -> Removal | None:
    """Delete the stack and take its lines out of lensa.toml; None if it was not confirmed.

    Raises NotFoundError if there is no such stack, and AccountError while something runs that
    needs what would go.
    """
    configuration.check_writable()
    stack = settled(account, check_name(name), seconds=seconds, say=say)
    if stack is None:
        cleared = configuration.forget()
        raise NotFoundError(
            f"there is no stack {name!r} in {account.region}."
            + (" Its lines are taken out of lensa.toml." if cleared else "")
        )
    removal = _removal(account, stack)
    check_nothing_runs(account)
    for each in removal.goes:
        if each.type == "AWS::IAM::ManagedPolicy":
            check_not_attached(account, each.id)
    if not confirm(removal):
        return None
    delete(account, stack, seconds=seconds, say=say)
    configuration.forget()
    return removal


def _removal(account: Account, stack: Stack) -> Removal:
    client = account.client("cloudformation")
    with explained(f"looking at what the stack {stack.name} has"):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=stack.id)
        found = [
            Resource(
                each["LogicalResourceId"], each["ResourceType"], each.get("PhysicalResourceId", "")
            )
            for page in pages
            for each in page["StackResourceSummaries"]
            if each.get("ResourceStatus") != "DELETE_COMPLETE"
        ]
    goes = [each for each in found if each.name not in RETAINED]
    return Removal(
        stack.name,
        bucket=stack.parameters["BucketName"],
        prefix=stack.parameters["Prefix"],
        goes=goes,
        stays=[each for each in found if each.name in RETAINED],
    )
