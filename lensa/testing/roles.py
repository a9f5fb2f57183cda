"""Roles: whether they are there, and who may act with them."""

from __future__ import annotations

import json

from lensa.testing.account import ACCOUNT
from lensa.testing.answers import AwsError

SAGEMAKER = "sagemaker.amazonaws.com"
SCHEDULER = "scheduler.amazonaws.com"


def trust(*services: str) -> str:
    """Return the trust policy of a role that these services may assume."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": list(services)},
        "Action": "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def why_not(arn: str, service: str) -> str:
    """Return what keeps a service from assuming a role, or nothing."""
    from moto.iam.models import iam_backends

    role = next((one for one in iam_backends[ACCOUNT]["aws"].get_roles() if one.arn == arn), None)
    if role is None:
        return f"the role {arn} does not exist"
    statements = json.loads(role.assume_role_policy_document).get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal", {})
        trusted = principal.get("Service", []) if isinstance(principal, dict) else []
        if statement.get("Effect") == "Allow" and (trusted == service or service in list(trusted)):
            return ""
    return f"the role {arn} does not trust {service}"


def denied(arn: str, action: str, resource: str) -> str:
    """Return what keeps a role from an action, or nothing. One without any policy may do all."""
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.iam.models import iam_backends

    role = next((one for one in iam_backends[ACCOUNT]["aws"].get_roles() if one.arn == arn), None)
    if role is None:
        return ""
    inline = (
        # One that came with a role of CloudFormation's moto keeps as it was read, others as text.
        policy if isinstance(policy, str) else json.dumps(policy)
        for policy in role.policies.values()
    )
    policies = [*inline, *role.managed_policies.values()]
    found = {IAMPolicy(policy).is_action_permitted(action, resource) for policy in policies}
    if not policies or (
        PermissionResult.PERMITTED in found and PermissionResult.DENIED not in found
    ):
        return ""
    return f"the role {arn} may not do {action} on {resource}"


def check_role(arn: str) -> None:
    """Refuse a role that SageMaker cannot assume."""
    if why_not(arn, SAGEMAKER):
        raise AwsError(
            "ValidationException",
            f"Could not assume role {arn}. Please ensure that the role exists and allows "
            f"principal '{SAGEMAKER}' to assume the role.",
        )
