"""An asynchronous endpoint scales by two policies and an alarm, to zero; all of it goes again."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from moto_server import (
    Gate,
    gate_fixture,  # noqa: F401
    json_error,
    moto_address_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting import scaling
from lensa.errors import AccountError

NAME = "lensa-7k2m0000-1f3a9c2e"
RESOURCE = f"endpoint/{NAME}/variant/AllTraffic"


@pytest.fixture(name="account")
def account_fixture(gate: Gate) -> Account:
    return Account()


def made() -> dict[str, list[dict[str, Any]]]:
    """All that scales, and all that watches."""
    client = boto3.client("application-autoscaling")
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {
        "targets": client.describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ],
        "policies": client.describe_scaling_policies(ServiceNamespace="sagemaker")[
            "ScalingPolicies"
        ],
        "alarms": alarms,
    }


def test_what_is_asked_of_aws_can_be_read_before() -> None:
    calls = scaling.parameters(NAME, max_instances=3)
    assert [operation for _, operation, _ in calls] == [
        "register_scalable_target",
        "put_scaling_policy",
        "put_scaling_policy",
        "put_metric_alarm",
    ]
    target, tracking, step, alarm = (given for _, _, given in calls)
    assert (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"]) == (RESOURCE, 0, 3)
    backlog = tracking["TargetTrackingScalingPolicyConfiguration"]
    metric = backlog["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    assert metric["Dimensions"] == [{"Name": "EndpointName", "Value": NAME}]
    assert step["StepScalingPolicyConfiguration"]["StepAdjustments"] == [
        {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    ]
    assert (alarm["Namespace"], alarm["MetricName"]) == (
        "AWS/SageMaker",
        "HasBacklogWithoutCapacity",
    )


def test_the_alarm_sets_the_step_going_and_once_more_makes_nothing_new(account: Account) -> None:
    scaling.scale_to_zero(account, NAME)
    scaling.scale_to_zero(account, NAME, max_instances=2)
    now = made()
    assert [target["MaxCapacity"] for target in now["targets"]] == [2]
    assert sorted(policy["PolicyType"] for policy in now["policies"]) == [
        "StepScaling",
        "TargetTrackingScaling",
    ]
    (step,) = (one for one in now["policies"] if one["PolicyType"] == "StepScaling")
    ours = [one for one in now["alarms"] if one["MetricName"] == "HasBacklogWithoutCapacity"]
    assert [alarm["AlarmActions"] for alarm in ours] == [[step["PolicyARN"]]]


def test_nothing_is_left_and_what_is_gone_is_passed_over(account: Account) -> None:
    scaling.scale_to_zero(account, NAME)
    scaling.scale_to_zero(account, "lensa-7k2m0000-00000000")
    # Somebody was faster with a part of it; and an alarm that target tracking left behind.
    client = boto3.client("application-autoscaling")
    client.delete_scaling_policy(
        PolicyName=f"{NAME}-from-zero",
        ServiceNamespace="sagemaker",
        ResourceId=RESOURCE,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName=f"TargetTracking-{RESOURCE}-AlarmLow-1",
        EvaluationPeriods=1,
        ComparisonOperator="LessThanThreshold",
        Namespace="AWS/SageMaker",
        MetricName="ApproximateBacklogSizePerInstance",
        Period=60,
        Statistic="Average",
        Threshold=4.5,
    )
    scaling.remove(account, NAME)
    left = made()
    assert {target["ResourceId"] for target in left["targets"]} == {
        "endpoint/lensa-7k2m0000-00000000/variant/AllTraffic"
    }
    assert all("00000000" in policy["PolicyName"] for policy in left["policies"])
    assert not [alarm for alarm in left["alarms"] if NAME in alarm["AlarmName"]]
    scaling.remove(account, NAME)
    assert made() == left


def test_what_may_not_be_made_is_named(account: Account, gate: Gate) -> None:
    gate.rules.append(
        lambda request: json_error(
            400,
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/ada is not authorized to perform: "
            "application-autoscaling:RegisterScalableTarget",
        )
    )
    with pytest.raises(AccountError, match=r"letting lensa-.* scale to zero failed"):
        scaling.scale_to_zero(account, NAME)
