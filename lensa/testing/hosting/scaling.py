"""Application Auto Scaling of endpoints: moto keeps targets, policies and alarms.

What it lacks is here: a policy needs its target, target tracking makes alarms of its own, and what
is taken back takes what belongs to it along. When an endpoint wakes and when it sleeps is read from
what is kept, without waiting for CloudWatch: see `wanted`.
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable
from typing import Any

from lensa.testing.account import ACCOUNT
from lensa.testing.answers import AwsError
from lensa.testing.operations import Call

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_BACKLOG = "HasBacklogWithoutCapacity"
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanOrEqualToThreshold": operator.le,
    "LessThanThreshold": operator.lt,
}
_IDLE = 15 * 60  # seconds: target tracking scales in after 15 low minutes


def resource_of(endpoint: str, variant: str) -> str:
    return f"endpoint/{endpoint}/variant/{variant}"


class ScalingApi:
    """What is asked of Application Auto Scaling for endpoints; the rest of it is moto's."""

    def __init__(self, find: Callable[[str, str], Any]) -> None:
        """`find` returns the endpoint of a (name, region), or raises AwsError."""
        self._find = find

    def register(self, call: Call) -> None:
        """Refuse a target that is not there; moto keeps the others."""
        asked = call.parameters
        if asked.get("ServiceNamespace") != "sagemaker" or asked["ScalableDimension"] != DIMENSION:
            return
        parts = asked["ResourceId"].split("/")
        if len(parts) != 4 or parts[0] != "endpoint" or parts[2] != "variant":
            raise _invalid(f"Invalid resource ID: {asked['ResourceId']}")
        endpoint = self._find(parts[1], call.region)
        if endpoint.variant["VariantName"] != parts[3]:
            raise _invalid(f'Could not find variant "{parts[3]}" of endpoint "{endpoint.arn}".')

    def deregister(self, call: Call) -> dict[str, Any] | None:
        if call.parameters.get("ServiceNamespace") != "sagemaker":
            return None
        if not forget(call.parameters["ResourceId"], call.region):
            raise _missing("scalable target found", call)
        return {}

    def put_policy(self, call: Call) -> dict[str, Any] | None:
        """Make a policy or change it: its ARN stays, and its alarms are made anew."""
        asked = call.parameters
        if asked.get("ServiceNamespace") != "sagemaker":
            return None
        backend = _backend(call.region)
        resource, name = asked["ResourceId"], asked["PolicyName"]
        if not backend._scalable_target_exists(resource, asked["ScalableDimension"]):
            raise _missing("scalable target registered", call)
        before = _policies(call.region, resource).get(name)
        policy = backend.put_scaling_policy(
            policy_name=name,
            service_namespace="sagemaker",
            resource_id=resource,
            scalable_dimension=asked["ScalableDimension"],
            policy_type=asked.get("PolicyType", before.policy_type if before else "StepScaling"),
            policy_body=asked.get("StepScalingPolicyConfiguration")
            or asked.get("TargetTrackingScalingPolicyConfiguration"),
        )
        if before is not None:
            policy.policy_arn, policy._guid = before.policy_arn, before._guid
            before.delete_alarms(ACCOUNT, call.region)
        if policy.policy_type == "TargetTrackingScaling":
            policy.alarms = [_alarm(policy, call.region, side) for side in ("High", "Low")]
        alarms = [{"AlarmName": one.name, "AlarmARN": one.alarm_arn} for one in policy.alarms]
        return {"PolicyARN": policy.policy_arn, "Alarms": alarms}

    def delete_policy(self, call: Call) -> None:
        """Refuse to delete what is not there as AWS does; moto deletes what is."""
        asked = call.parameters
        if asked.get("ServiceNamespace") != "sagemaker":
            return
        if asked["PolicyName"] not in _policies(call.region, asked["ResourceId"]):
            raise _missing("scaling policy found", call)


def wanted(endpoint: str, variant: str, region: str, now: int, backlog: int, idle: float) -> int:
    """Return how many instances there should be: 0, 1, or as many as now.

    From none to one: a request waits, and an alarm on HasBacklogWithoutCapacity of this endpoint
    sets off a step policy. Without it the request waits for ever, as on AWS. To none: target
    tracking is there, none is allowed, and nothing has waited for 15 minutes of the clock and the
    cooldown of the policy.
    """
    resource = resource_of(endpoint, variant)
    target = _backend(region).targets.get(DIMENSION, {}).get(resource)
    if target is None:
        return now
    policies = _policies(region, resource).values()
    if now == 0 and backlog and (target.max_capacity or 0) > 0:
        steps = {one.policy_arn for one in policies if one.policy_type == "StepScaling"}
        return 1 if any(steps & set(one.alarm_actions) for one in _alarms(endpoint, region)) else 0
    if now and not backlog and target.min_capacity == 0:
        waits = [
            one.target_tracking_scaling_policy_configuration.get("ScaleInCooldown") or 0
            for one in policies
            if one.policy_type == "TargetTrackingScaling"
            and not one.target_tracking_scaling_policy_configuration.get("DisableScaleIn")
        ]
        if waits and idle > max(_IDLE, *waits):
            return 0
    return now


def target_arn(resource: str, region: str) -> str:
    """Return the ARN of a target, or nothing if there is none."""
    target = _backend(region).targets.get(DIMENSION, {}).get(resource)
    return "" if target is None else str(target.arn)


def forget(resource: str, region: str) -> bool:
    """Take a target back, with its policies and their alarms. False if there is none."""
    backend = _backend(region)
    if backend.targets.get(DIMENSION, {}).pop(resource, None) is None:
        return False
    for key, policy in list(backend.policies.items()):
        if policy.resource_id == resource:
            policy.delete_alarms(ACCOUNT, region)
            del backend.policies[key]
    return True


def scaling_names() -> dict[str, list[str]]:
    """Return the names of all targets of endpoints, their policies, and all alarms."""
    from moto.applicationautoscaling.models import applicationautoscaling_backends
    from moto.cloudwatch.models import cloudwatch_backends

    scaling = list(applicationautoscaling_backends[ACCOUNT].values())
    watching = list(cloudwatch_backends[ACCOUNT].values())
    return {
        "scalable_targets": sorted(
            resource for one in scaling for resource in list(one.targets.get(DIMENSION, {}))
        ),
        "scaling_policies": sorted(
            policy.policy_name for one in scaling for policy in list(one.policies.values())
        ),
        "alarms": sorted(name for one in watching for name in list(one.alarms)),
    }


def _backend(region: str) -> Any:
    from moto.applicationautoscaling.models import applicationautoscaling_backends

    return applicationautoscaling_backends[ACCOUNT][region]


def _policies(region: str, resource: str) -> dict[str, Any]:
    found = list(_backend(region).policies.values())
    return {one.policy_name: one for one in found if one.resource_id == resource}


def _alarms(endpoint: str, region: str) -> list[Any]:
    """Return the alarms that go off when requests wait and nobody is there: the metric is 1."""
    from moto.cloudwatch.models import cloudwatch_backends

    return [
        alarm
        for alarm in list(cloudwatch_backends[ACCOUNT][region].alarms.values())
        if (alarm.namespace, alarm.metric_name) == ("AWS/SageMaker", _BACKLOG)
        and any((one.name, one.value) == ("EndpointName", endpoint) for one in alarm.dimensions)
        and _goes_off(alarm)
    ]


def _goes_off(alarm: Any) -> bool:
    compared = _COMPARED.get(alarm.comparison_operator)
    return bool(alarm.actions_enabled) and compared is not None and compared(1, alarm.threshold)


def _alarm(policy: Any, region: str, side: str) -> Any:
    from moto.cloudwatch.models import cloudwatch_backends

    configuration = policy.target_tracking_scaling_policy_configuration
    metric = configuration.get("CustomizedMetricSpecification", {})
    return cloudwatch_backends[ACCOUNT][region].put_metric_alarm(
        name=f"TargetTracking-{policy.resource_id}-Alarm{side}-{uuid.uuid4()}",
        namespace=metric.get("Namespace", "AWS/SageMaker"),
        metric_name=metric.get("MetricName", "SageMakerVariantInvocationsPerInstance"),
        metric_data_queries=[],
        comparison_operator=f"{'Greater' if side == 'High' else 'Less'}ThanThreshold",
        evaluation_periods=3 if side == "High" else 15,
        period=60,
        threshold=configuration["TargetValue"] * (1.0 if side == "High" else 0.9),
        statistic=metric.get("Statistic", "Average"),
        description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.policy_arn}.",
        dimensions=metric.get("Dimensions", []),
        alarm_actions=[policy.policy_arn],
    )


def _missing(what: str, call: Call) -> AwsError:
    asked = call.parameters
    name = f", policy name: {asked['PolicyName']}" if "policy" in what else ""
    return AwsError(
        "ObjectNotFoundException",
        f"No {what} for service namespace: sagemaker, resource ID: {asked['ResourceId']}, "
        f"scalable dimension: {asked['ScalableDimension']}{name}",
    )


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
