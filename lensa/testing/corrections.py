"""Where moto itself has to answer differently while a twin is open."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any


def correct_moto() -> ExitStack:
    """Correct it until the stack is closed."""
    from moto.s3.models import FakeBucket
    from moto.sagemaker.models import FakeEndpointConfig

    corrected = ExitStack()
    # moto's list of instance types is old; ours are checked against botocore's.
    _replace(corrected, FakeEndpointConfig, "validate_instance_type", lambda *_: None)
    _replace(corrected, FakeBucket, "get_permission", _permission_over_tls)
    return corrected


def _permission_over_tls(bucket: Any, action: str, resource: str) -> Any:
    """Return what a bucket's policy permits, as if the request had come over TLS.

    moto reads no conditions: it takes "nothing without TLS" for "nothing".
    """
    from moto.iam.access_control import IAMPolicy, PermissionResult

    policy = json.loads(bucket.policy or '{"Statement": []}')
    policy["Statement"] = [each for each in policy["Statement"] if not _only_without_tls(each)]
    if not policy["Statement"]:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)


def _only_without_tls(statement: dict[str, Any]) -> bool:
    wanted = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return statement.get("Effect") == "Deny" and str(wanted).lower() == "false"


def _replace(corrected: ExitStack, owner: Any, name: str, value: Any) -> None:
    corrected.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
