"""An asynchronous endpoint has as many machines as its queue needs, and none for an empty one.

Two policies do it. Target tracking holds the requests that wait for each machine at a number, and
ends the last machine when there are none. It cannot begin anew, because nothing divided by no
machines is no number: that a request waits and nobody is there to draw it has an alarm and a step
of its own. Numbers and metrics are those of AWS's guide (Autoscale an asynchronous endpoint).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import error_code, explained

VARIANT = "AllTraffic"

_SERVICE = "application-autoscaling"
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_WAITING_EACH = 5.0  # requests for each machine, to be held
_CALM_SECONDS = 600  # from one end of a machine to the next
_HURRY_SECONDS = 300  # from one start of a machine to the next: so long they take

_GONE = {"ObjectNotFoundException", "ResourceNotFound", "ResourceNotFoundException"}

Call = tuple[str, str, dict[str, Any]]  # service, operation, parameters


def parameters(endpoint: str, variant: str = VARIANT, max_instances: int = 1) -> list[Call]:
    """Return what `scale_to_zero` calls, in order.

    Only what the alarm sets going is not known before: AWS names it in its answer to the third.
    """
    resource = _resource(endpoint, variant)
    return [
        (
            _SERVICE,
            "register_scalable_target",
            {**resource, "MinCapacity": 0, "MaxCapacity": max_instances},
        ),
        (
            _SERVICE,
            "put_scaling_policy",
            {
                **resource,
                "PolicyName": f"{endpoint}-backlog",
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": _WAITING_EACH,
                    "CustomizedMetricSpecification": {
                        **_metric(endpoint, "ApproximateBacklogSizePerInstance"),
                        "Statistic": "Average",
                    },
                    "ScaleInCooldown": _CALM_SECONDS,
                    "ScaleOutCooldown": _HURRY_SECONDS,
                },
            },
        ),
        (
            _SERVICE,
            "put_scaling_policy",
            {
                **resource,
                "PolicyName": f"{endpoint}-from-zero",
                "PolicyType": "StepScaling",
                "StepScalingPolicyConfiguration": {
                    "AdjustmentType": "ChangeInCapacity",
                    "MetricAggregationType": "Average",
                    "Cooldown": _HURRY_SECONDS,
                    "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
                },
            },
        ),
        (
            "cloudwatch",
            "put_metric_alarm",
            {
                "AlarmName": _alarm(endpoint),
                "AlarmDescription": f"A request waits, and {endpoint} has no machine.",
                "AlarmActions": ["(the ARN of the policy before)"],
                **_metric(endpoint, "HasBacklogWithoutCapacity"),
                "Statistic": "Average",
                "Period": 60,
                "EvaluationPeriods": 2,
                "DatapointsToAlarm": 2,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "missing",
            },
        ),
    ]


def scale_to_zero(
    account: Account, endpoint: str, variant: str = VARIANT, max_instances: int = 1
) -> None:
    """Let an endpoint that is in service have 0 to `max_instances` machines, as its queue needs.

    Again sets it anew. Raises AccountError, ServiceError.
    """
    policy = ""
    for service, operation, given in parameters(endpoint, variant, max_instances):
        if "AlarmActions" in given:
            given = {**given, "AlarmActions": [policy]}
        with explained(f"letting {endpoint} scale to zero"):
            answer = getattr(account.client(service), operation)(**given)
        policy = answer.get("PolicyARN", policy)


def most(account: Account, endpoint: str, variant: str = VARIANT) -> int | None:
    """Return how many machines an endpoint may have; None if it does not scale."""
    resource = _resource(endpoint, variant)
    with explained(f"looking up the scaling of {endpoint}"):
        found = account.client(_SERVICE).describe_scalable_targets(
            ServiceNamespace=resource["ServiceNamespace"],
            ResourceIds=[resource["ResourceId"]],
            ScalableDimension=_DIMENSION,
        )["ScalableTargets"]
    return next((int(one["MaxCapacity"]) for one in found), None)


def remove(account: Account, endpoint: str, variant: str = VARIANT) -> None:
    """Delete all that `scale_to_zero` has made, and the alarms that AWS made for it.

    What is gone is passed over. Raises AccountError, ServiceError.
    """
    scaling, watch = account.client(_SERVICE), account.client("cloudwatch")
    resource = _resource(endpoint, variant)
    with explained(f"ending the scaling of {endpoint}"):
        pages = scaling.get_paginator("describe_scaling_policies").paginate(**resource)
        policies = [policy for page in pages for policy in page["ScalingPolicies"]]
        for policy in policies:
            with _gone_is_fine():
                scaling.delete_scaling_policy(**resource, PolicyName=policy["PolicyName"])
        with _gone_is_fine():
            scaling.deregister_scalable_target(**resource)
    with explained(f"deleting the alarms of {endpoint}"):
        # Those of target tracking go with their policy, unless somebody was faster.
        for prefix in (_alarm(endpoint), f"TargetTracking-{resource['ResourceId']}-"):
            found = watch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
            if names := [alarm["AlarmName"] for alarm in found]:
                with _gone_is_fine():
                    watch.delete_alarms(AlarmNames=names)


def _resource(endpoint: str, variant: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": _DIMENSION,
    }


def _metric(endpoint: str, name: str) -> dict[str, Any]:
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": name,
        "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
    }


def _alarm(endpoint: str) -> str:
    return f"{endpoint}-backlog-without-capacity"


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error_code(error) not in _GONE and "No scal" not in str(error):
            raise  # "No scaling policy found", "No scalable target found": those are fine as well
