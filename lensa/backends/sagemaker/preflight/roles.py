"""The roles: there, and trusting the service that is to act in them.

What a role may do is not simulated, nor whether we may pass it: both give false alarms, since a
simulation knows nothing of conditions, boundaries and policies of the organisation.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import unquote

from lensa.backends.findings import Check, Finding, failed, ok, skipped, unknown
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.schedule import RIGHTS
from lensa.backends.sagemaker.preflight.needs import Need
from lensa.backends.sagemaker.preflight.question import page, question
from lensa.errors import AccountError

ROLE, SCHEDULER = "role", "scheduler role"
_CLOCK = "scheduler.amazonaws.com"
_PERMISSION = "the permission iam:GetRole"
_MAKE_ONE = "lensa setup makes one; or name another: {how}."


def check_role(account: Account, need: Need) -> Check:
    """The role that SageMaker runs a job or an endpoint with."""
    mend = _MAKE_ONE.format(how="--role, or LENSA_ROLE")

    def find() -> Finding:
        role = _existing(account, ROLE, account.role(need.role), mend)
        if isinstance(role, Finding):
            return role
        return _trusting(account, ROLE, role, "sagemaker.amazonaws.com")

    return question(ROLE, find, permission=_PERMISSION, mend="lensa setup makes one.")


def check_scheduler_role(account: Account, need: Need) -> Check:
    """The role that EventBridge Scheduler ends an endpoint with; the execution role without one
    of its own."""
    mend = _MAKE_ONE.format(how="scheduler_role in lensa.toml, or LENSA_SCHEDULER_ROLE")

    def own(name: str) -> Finding:
        role = _existing(account, SCHEDULER, account.role(name), mend)
        return role if isinstance(role, Finding) else _trusting(account, SCHEDULER, role, _CLOCK)

    def shared() -> Finding:
        try:
            role = _existing(account, SCHEDULER, account.role(need.role), mend)
        except AccountError:
            role = None
        if role is None or isinstance(role, Finding):
            return skipped(SCHEDULER, "it is the execution role: see there")
        found = _trusting(account, SCHEDULER, role, _CLOCK)
        if found.status != "failed":
            return found
        words = f"the execution role is to end the endpoint as well: {found.words}"
        return failed(SCHEDULER, words, f"{found.mend}\nOr give the end a role of its own. {mend}")

    named = need.scheduler_role
    find = shared if named is None else partial(own, named)
    return question(SCHEDULER, find, permission=_PERMISSION, mend=mend)


def passing_the_role() -> Check:
    """Say what cannot be known before."""
    name = "passing the role"
    words = (
        "not tried: a simulation gives false alarms. If you may not, AWS refuses the first job or "
        "endpoint, before anything runs, with: may not do iam:PassRole"
    )
    return Check(name, lambda: skipped(name, words))


def _existing(account: Account, name: str, arn: str, mend: str) -> dict[str, Any] | Finding:
    """Return a role as IAM has it, or what is wrong with it."""
    role_name, owner = arn.rpartition("/")[2], arn.split(":")[4]
    if owner != account.id:
        return failed(
            name,
            f"{arn} is a role of account {owner}, and you work in {account.id}: AWS takes roles of "
            "the same account only.",
            mend,
        )
    iam = account.client("iam")
    try:
        role: dict[str, Any] = iam.get_role(RoleName=role_name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return failed(name, f"account {account.id} has no role {role_name!r}.", mend)
    if role["Arn"] != arn:
        return failed(
            name,
            f"there is no {arn}: the role of that name is {role['Arn']}.",
            f"Name it so: {role['Arn']}",
        )
    return role


def _trusting(account: Account, name: str, role: dict[str, Any], service: str) -> Finding:
    """Say whether a service may assume a role."""
    role_name = role["RoleName"]
    services = trusted_services(role.get("AssumeRolePolicyDocument"))
    if services is None:
        return unknown(name, f"{role_name} is there, but its trust policy cannot be read")
    if service in services:
        return ok(name, f"{role_name}, which {service} may assume; its rights are not checked")
    trust = page(account, f"iam/home?region={{region}}#/roles/details/{role_name}")
    return failed(
        name,
        f"{role_name} may not be assumed by {service} (its trust policy names "
        f"{', '.join(sorted(services)) or 'no service'}).",
        f"Add to its trust policy {_statement(service)}\n"
        f'under "Trust relationships": {trust}?section=trust_relationships'
        + (f"\nIt has to be allowed {' and '.join(RIGHTS)}." if service == _CLOCK else ""),
    )


def trusted_services(document: object) -> set[str] | None:
    """Return the services that a trust policy lets assume a role; None if it cannot be read."""
    try:
        policy: Any = json.loads(unquote(document)) if isinstance(document, str) else document
        found: set[str] = set()
        for statement in _listed(policy["Statement"]):
            actions = _listed(statement.get("Action", ()))
            if statement["Effect"] != "Allow" or not {"sts:AssumeRole", "sts:*", "*"} & {*actions}:
                continue
            principal = statement.get("Principal", {})
            found |= set(_listed(principal.get("Service", ())))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return found


def _listed(value: Any) -> list[Any]:
    """What a policy may write as one thing or as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _statement(service: str) -> str:
    return json.dumps(
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    )
