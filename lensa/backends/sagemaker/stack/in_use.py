"""What is in use of a stack: it is not taken away from whatever needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.bucket import Bucket
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.stack.changes import Change
from lensa.backends.sagemaker.stack.state import Stack
from lensa.errors import AccountError

_ROLES = {"ExecutionRole", "SchedulerRole"}
_POLICY = "CallerPolicy"


def check_change(
    account: Account, stack: Stack, given: Mapping[str, str], changes: Iterable[Change]
) -> None:
    """Raise AccountError for a change that takes something from what uses it.

    `given` are the template's parameters that are to be others, or the same again.
    """
    wanted = {**stack.parameters, **given}
    replaced = {change.resource for change in changes if change.replaced}
    if replaced & _ROLES:
        check_nothing_runs(account)
    moved = [name for name in ("BucketName", "Prefix") if wanted[name] != stack.parameters[name]]
    if moved:
        _check_nothing_reads(account, stack)
    if _POLICY in replaced and (policy := stack.outputs.get("CallerPolicyArn")):
        check_not_attached(account, policy)
    if "BucketName" not in moved:
        _check_key(account, stack, wanted)


def check_nothing_runs(account: Account) -> None:
    """Raise AccountError while something runs with the roles, which are about to go."""
    endpoints, jobs = _running(account)
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


def check_not_attached(account: Account, policy: str) -> None:
    """Raise AccountError if somebody has a policy that is about to go."""
    held = _holders(account, policy)
    if held:
        raise AccountError(
            f"the policy {policy} is attached to {', '.join(held)}, and AWS deletes no such "
            "policy. Detach it first (console: IAM, Policies, Entities attached)."
        )


def _check_nothing_reads(account: Account, stack: Stack) -> None:
    """Raise AccountError while something runs that has its files at the stack's present place."""
    endpoints, jobs = _running(account)
    place = f"s3://{stack.parameters['BucketName']}/{stack.parameters['Prefix']}"
    if endpoints:
        raise AccountError(
            f"{_some(endpoints, 'endpoint')} would not reach {place} any more, nor a machine that "
            "replaces theirs. Take them down first: lensa down --all"
        )
    if jobs:
        raise AccountError(
            f"{_some(jobs, 'training job')} would not reach {place} any more, and could not bring "
            "the avatar there. Wait for the end, or stop: lensa stop JOB"
        )


def _check_key(account: Account, stack: Stack, wanted: Mapping[str, str]) -> None:
    """Raise AccountError if objects are there, and the roles would lose the key to them."""
    old = stack.outputs.get("KeyArn")
    same = stack.parameters.get("UseKey") == "yes" == wanted.get("UseKey")
    if old is None or same or wanted.get("KeyArn") == old:
        return
    bucket = Bucket(account, wanted["BucketName"], wanted["Prefix"])
    client = bucket.client()
    with explained(f"looking whether anything lies in {bucket.uri('')}"):
        try:
            found = client.list_objects_v2(Bucket=bucket.name, Prefix=bucket.key(""), MaxKeys=1)
        except client.exceptions.NoSuchBucket:
            return
    if found.get("KeyCount"):
        raise AccountError(
            f"what lies in {bucket.uri('')} is encrypted with {old}, and neither jobs nor "
            "endpoints nor who has the caller policy could read it any more. Keep that key, begin "
            "anew below another prefix (--prefix), or, if nothing there is needed, empty it "
            f"first: aws s3 rm {bucket.uri('').rstrip('/')} --recursive"
        )


def _running(account: Account) -> tuple[list[str], list[str]]:
    """Return the names of lensa's endpoints, and of its training jobs that are not over."""
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
    return endpoints, jobs


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
