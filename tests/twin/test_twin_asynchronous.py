"""Asynchronous endpoints in the twin: requests through the bucket, and asleep while none come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from twinendpoints import config, describe, entry, make, put, role, until

from lensa.testing import SagemakerTwin

RESOURCE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/here/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


def paths(twin: SagemakerTwin) -> dict[str, Any]:
    """Return an AsyncInferenceConfig."""
    where = f"s3://{twin.bucket}/async"
    return {"OutputConfig": {"S3OutputPath": f"{where}/out", "S3FailurePath": f"{where}/failed"}}


def send(twin: SagemakerTwin, **fields: Any) -> dict[str, Any]:
    put(twin, "async/in/1.json", json.dumps(fields))
    answer: dict[str, Any] = twin.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName="here",
        InputLocation=f"s3://{twin.bucket}/async/in/1.json",
        ContentType="application/json",
    )
    return answer


def fetched(twin: SagemakerTwin, uri: str) -> bytes | None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        content: bytes = twin.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except twin.client("s3").exceptions.NoSuchKey:
        return None
    return content


def scale(
    twin: SagemakerTwin, *, step: bool = True, tracking: bool = True, threshold: float = 1
) -> None:
    """Let the endpoint go to sleep and wake, as AWS's documentation does it."""
    scaling = twin.client("application-autoscaling")
    scaling.register_scalable_target(**RESOURCE, MinCapacity=0, MaxCapacity=1)
    if tracking:
        scaling.put_scaling_policy(
            **RESOURCE,
            PolicyName="backlog",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 5.0,
                "CustomizedMetricSpecification": {
                    "MetricName": "ApproximateBacklogSizePerInstance",
                    "Namespace": "AWS/SageMaker",
                    "Dimensions": [{"Name": "EndpointName", "Value": "here"}],
                    "Statistic": "Average",
                },
                "ScaleInCooldown": 600,
            },
        )
    if step:
        policy = scaling.put_scaling_policy(
            **RESOURCE,
            PolicyName="wake",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "MetricAggregationType": "Average",
                "Cooldown": 300,
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            },
        )
        twin.client("cloudwatch").put_metric_alarm(
            AlarmName="here-waits",
            MetricName="HasBacklogWithoutCapacity",
            Namespace="AWS/SageMaker",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=2,
            Threshold=threshold,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="missing",
            Dimensions=[{"Name": "EndpointName", "Value": "here"}],
            AlarmActions=[policy["PolicyARN"]],
        )


def test_a_request_comes_from_the_bucket_and_its_answer_goes_there(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    sagemaker_twin.endpoints["here"].wait()
    asked = send(sagemaker_twin)
    assert asked["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert asked["OutputLocation"].startswith(f"s3://{sagemaker_twin.bucket}/async/out/")
    answer = until(lambda: fetched(sagemaker_twin, asked["OutputLocation"]))
    assert json.loads(answer)["said"] == "hello"
    assert json.loads(answer)["headers"]["Content-Type"] == "application/json"
    assert fetched(sagemaker_twin, asked["FailureLocation"]) is None


def test_what_fails_is_told_at_the_other_place(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    sagemaker_twin.endpoints["here"].wait()
    asked = send(sagemaker_twin, **{"raise": "no such prompt"})
    told = until(lambda: fetched(sagemaker_twin, asked["FailureLocation"]))
    assert json.loads(told)["message"] == "no such prompt"
    assert fetched(sagemaker_twin, asked["OutputLocation"]) is None
    asked = send(sagemaker_twin, exit=1)
    told = until(lambda: fetched(sagemaker_twin, asked["FailureLocation"]))
    assert b"the model process exited" in told


def test_an_endpoint_is_asked_in_its_own_way_only(sagemaker_twin: SagemakerTwin) -> None:
    runtime = sagemaker_twin.client("sagemaker-runtime")
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    make(sagemaker_twin, "there")
    for endpoint in sagemaker_twin.endpoints.values():
        endpoint.wait()
    with pytest.raises(ClientError, match="use InvokeEndpointAsync"):
        runtime.invoke_endpoint(EndpointName="here", Body=b"{}")
    with pytest.raises(ClientError, match="no AsyncInferenceConfig"):
        runtime.invoke_endpoint_async(EndpointName="there", InputLocation="s3://x/y")


def test_it_sleeps_after_fifteen_idle_minutes_and_a_request_wakes_it(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    endpoint = sagemaker_twin.endpoints["here"].wait()
    scale(sagemaker_twin)
    sagemaker_twin.clock.advance(600)
    asked = send(sagemaker_twin)
    until(lambda: fetched(sagemaker_twin, asked["OutputLocation"]))
    sagemaker_twin.clock.advance(600)
    assert not endpoint.gone.wait(0.3) and endpoint.desired == 1  # ten minutes are not enough
    sagemaker_twin.clock.advance(400)
    endpoint.wait_for(lambda one: one.current == 0 and not one.pids)
    [variant] = describe(sagemaker_twin)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (0, 0)
    assert describe(sagemaker_twin)["EndpointStatus"] == "InService"
    sagemaker_twin.faults.slow_endpoint(240)
    asked = send(sagemaker_twin)
    endpoint.wait("Updating")
    assert describe(sagemaker_twin)["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    for change in (
        sagemaker_twin.client("sagemaker").delete_endpoint,
        lambda **name: sagemaker_twin.client("sagemaker").update_endpoint(
            **name, EndpointConfigName="here"
        ),
    ):
        with pytest.raises(ClientError, match="in-progress"):
            change(EndpointName="here")
    sagemaker_twin.clock.advance(240)
    assert until(lambda: fetched(sagemaker_twin, asked["OutputLocation"]))
    assert endpoint.wait().starts == 2


def test_one_that_does_not_wake_can_be_changed_and_is_tried_again(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    endpoint = sagemaker_twin.endpoints["here"].wait()
    scale(sagemaker_twin)
    sagemaker_twin.clock.advance(1000)
    endpoint.wait_for(lambda one: one.current == 0)
    sagemaker_twin.faults.fail_endpoint(log="out of memory")
    asked = send(sagemaker_twin)
    endpoint.wait_for(lambda one: bool(one.failure_reason))
    assert endpoint.log()[-2] == "out of memory"
    assert until(lambda: fetched(sagemaker_twin, asked["OutputLocation"]))


@pytest.mark.parametrize("changes", [{"step": False}, {"threshold": 2}])
def test_without_an_alarm_that_goes_off_and_its_policy_a_request_waits_for_ever(
    sagemaker_twin: SagemakerTwin, changes: dict[str, Any]
) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    endpoint = sagemaker_twin.endpoints["here"].wait()
    scale(sagemaker_twin, **changes)
    sagemaker_twin.clock.advance(1000)
    endpoint.wait_for(lambda one: one.current == 0)
    send(sagemaker_twin)
    assert not endpoint.gone.wait(0.3)
    assert endpoint.desired == endpoint.current == 0


def test_a_request_whose_turn_comes_too_late_is_a_failure(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    endpoint = sagemaker_twin.endpoints["here"].wait()

    def instances(count: int) -> None:
        sagemaker_twin.client("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName="here",
            DesiredWeightsAndCapacities=[
                {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
            ],
        )
        endpoint.wait_for(lambda one: one.current == count)

    instances(0)
    late = send(sagemaker_twin)
    sagemaker_twin.clock.advance(6 * 3600 + 60)
    fine = send(sagemaker_twin)
    assert not endpoint.gone.wait(0.1)
    instances(1)
    assert until(lambda: fetched(sagemaker_twin, fine["OutputLocation"]))
    told = until(lambda: fetched(sagemaker_twin, late["FailureLocation"]))
    assert b"RequestTTLSeconds" in told


def test_without_target_tracking_it_never_sleeps(sagemaker_twin: SagemakerTwin) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    endpoint = sagemaker_twin.endpoints["here"].wait()
    scale(sagemaker_twin, tracking=False)
    sagemaker_twin.clock.advance(100_000)
    assert not endpoint.gone.wait(0.3)
    assert endpoint.current == 1


def test_a_target_needs_its_endpoint_a_policy_its_target(sagemaker_twin: SagemakerTwin) -> None:
    scaling = sagemaker_twin.client("application-autoscaling")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        scaling.register_scalable_target(**RESOURCE, MinCapacity=0, MaxCapacity=1)
    for call in (scaling.deregister_scalable_target, scaling.delete_scaling_policy):
        more = {"PolicyName": "wake"} if call == scaling.delete_scaling_policy else {}
        with pytest.raises(ClientError) as caught:
            call(**RESOURCE, **more)
        assert caught.value.response["Error"]["Code"] == "ObjectNotFoundException"
    with pytest.raises(ClientError, match="No scalable target registered"):
        scaling.put_scaling_policy(
            **RESOURCE,
            PolicyName="wake",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={},
        )


def test_a_target_takes_its_policies_and_their_alarms_along_and_no_others(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    sagemaker_twin.endpoints["here"].wait()
    scale(sagemaker_twin)
    scale(sagemaker_twin)  # again changes nothing
    before = sagemaker_twin.resources()
    assert before["scaling_policies"] == ["backlog", "wake"]
    assert len(before["alarms"]) == 3 and "here-waits" in before["alarms"]
    with pytest.raises(ClientError, match="must be deregistered as scalable target"):
        sagemaker = sagemaker_twin.client("sagemaker")
        sagemaker.create_endpoint_config(**config("new", "here", InstanceType="ml.g5.2xlarge"))
        sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="new")
    sagemaker_twin.client("application-autoscaling").deregister_scalable_target(**RESOURCE)
    after = sagemaker_twin.resources()
    assert after["scalable_targets"] == after["scaling_policies"] == []
    assert after["alarms"] == ["here-waits"]


def test_an_endpoint_that_is_deleted_takes_its_target_along_and_leaves_the_alarm(
    sagemaker_twin: SagemakerTwin,
) -> None:
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    endpoint = sagemaker_twin.endpoints["here"].wait()
    scale(sagemaker_twin)
    sagemaker_twin.client("sagemaker").delete_endpoint(EndpointName="here")
    assert endpoint.gone.wait(10)
    left = sagemaker_twin.resources()
    assert left["scalable_targets"] == [] and left["alarms"] == ["here-waits"]


def test_the_schedulers_role_needs_to_take_the_target_back(sagemaker_twin: SagemakerTwin) -> None:
    """AWS deregisters it with the endpoint, in the name of whoever deletes that."""
    service, delete = "scheduler.amazonaws.com", "sagemaker:DeleteEndpoint"
    weak = role(sagemaker_twin, "weak", service, delete)
    strong = role(
        sagemaker_twin,
        "strong",
        service,
        delete,
        "application-autoscaling:DeregisterScalableTarget",
    )
    make(sagemaker_twin, asynchronous=paths(sagemaker_twin))
    endpoint = sagemaker_twin.endpoints["here"].wait()
    scale(sagemaker_twin)
    for name, arn in (("weak", weak), ("strong", strong)):
        asked = {**entry(sagemaker_twin, 60, RoleArn=arn), "Name": name}
        sagemaker_twin.client("scheduler").create_schedule(**asked)
        sagemaker_twin.clock.advance(60)
        until(lambda name=name: [one for one in sagemaker_twin.firings if one.schedule == name])
        assert endpoint.over == (name == "strong")
    [refused, done] = [one.problem for one in sagemaker_twin.firings]
    assert "may not do application-autoscaling:DeregisterScalableTarget" in refused
    assert done == "" and endpoint.gone.wait(10)
