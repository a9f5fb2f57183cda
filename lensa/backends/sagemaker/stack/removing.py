"""`lensa setup --remove`: the stack goes, the bucket and its key stay."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from lensa import configuration
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.stack.progress import Say
from lensa.backends.sagemaker.stack.setting_up import delete, settled
from lensa.backends.sagemaker.stack.state import Stack, check_name
from lensa.backends.sagemaker.stack.template import RETAINED
from lensa.errors import AccountError, NotFoundError


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
    _check_unused(account, removal)
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


def _check_unused(account: Account, removal: Removal) -> None:
    """Raise AccountError for what runs with the roles, and for who has the policy."""
    client = account.client("sagemaker")
    with explained("looking for endpoints and jobs that still run"):
        endpoints = [
            each["EndpointName"]
            for page in client.get_paginator("list_endpoints").paginate(NameContains="lensa-")
            for each in page["Endpoints"]
            if each["EndpointName"].startswith("lensa-")
        ]
        pages = client.get_paginator("list_training_jobs").paginate(
            NameContains="lensa-", StatusEquals="InProgress"
        )
        jobs = [
            each["TrainingJobName"]
            for page in pages
            for each in page["TrainingJobSummaries"]
            if each["TrainingJobName"].startswith("lensa-")
        ]
    if endpoints:
        raise AccountError(
            f"{_some(endpoints, 'endpoint')} would go on without an end, and cost by the hour: the "
            "role that ends them would be gone. Take them down first: lensa down --all"
        )
    if jobs:
        raise AccountError(
            f"{_some(jobs, 'training job')} would lose the role to work with. Wait for the end, or "
            "stop: lensa stop JOB"
        )
    for policy in (each for each in removal.goes if each.type == "AWS::IAM::ManagedPolicy"):
        held = _holders(account, policy.id)
        if held:
            raise AccountError(
                f"the policy {policy.id} is attached to {', '.join(held)}, and AWS deletes no such "
                "policy. Detach it first (console: IAM, Policies, Entities attached)."
            )


def _some(names: list[str], what: str) -> str:
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    return f"{what}{'' if len(names) == 1 else 's'} {shown}"


def _holders(account: Account, policy: str) -> list[str]:
    """Return the people, groups and roles that have a policy; none if that may not be asked."""
    client = account.client("iam")
    with suppress(AccountError), explained(f"looking up who has the policy {policy}"):
        pages = client.get_paginator("list_entities_for_policy").paginate(PolicyArn=policy)
        return [
            f"{kind.lower()} {each[f'{kind}Name']}"
            for page in pages
            for kind in ("User", "Group", "Role")
            for each in page[f"Policy{kind}s"]
        ]
    return []
