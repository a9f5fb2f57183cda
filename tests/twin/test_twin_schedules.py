"""EventBridge Scheduler in the twin: an endpoint's end comes with no client alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from twinendpoints import config, entry, make, model, role, until, upload_model

from lensa.testing import SagemakerTwin


def test_an_endpoint_is_deleted_at_its_hour_and_the_entry_goes_with_it(
    sagemaker_twin: SagemakerTwin,
) -> None:
    scheduler = sagemaker_twin.client("scheduler")
    scheduler.create_schedule(**entry(sagemaker_twin, 7200))
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    sagemaker_twin.clock.advance(7100)
    assert not endpoint.gone.wait(0.5)
    assert sagemaker_twin.resources() == {
        "endpoints": ["here"],
        "endpoint_configs": ["here"],
        "models": ["here"],
        "schedules": ["here"],
        "scalable_targets": [],
        "scaling_policies": [],
        "alarms": [],
    }
    sagemaker_twin.clock.advance(100)
    assert endpoint.gone.wait(10)
    [firing] = sagemaker_twin.firings
    assert (firing.operation, firing.problem) == ("DeleteEndpoint", "")
    left = {name for name, found in sagemaker_twin.resources().items() if found}
    assert left == {"endpoint_configs", "models"}


def test_an_entry_that_is_moved_comes_later(sagemaker_twin: SagemakerTwin) -> None:
    scheduler = sagemaker_twin.client("scheduler")
    scheduler.create_schedule(**entry(sagemaker_twin, 7200))
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    scheduler.update_schedule(**entry(sagemaker_twin, 9000))
    assert scheduler.get_schedule(Name="here")["State"] == "ENABLED"
    sagemaker_twin.clock.advance(8000)
    assert not endpoint.gone.wait(0.5)
    sagemaker_twin.clock.advance(1000)
    assert endpoint.gone.wait(10)


def test_an_endpoint_that_is_updated_at_that_minute_goes_afterwards(
    sagemaker_twin: SagemakerTwin,
) -> None:
    sagemaker_twin.client("scheduler").create_schedule(**entry(sagemaker_twin, 100))
    make(sagemaker_twin)
    endpoint = sagemaker_twin.endpoints["here"].wait()
    sagemaker = sagemaker_twin.client("sagemaker")
    uri = upload_model(sagemaker_twin, "models/newer", "good day")
    sagemaker.create_model(**model(sagemaker_twin, "newer", uri))
    sagemaker.create_endpoint_config(**config("newer", "newer"))
    sagemaker_twin.faults.slow_endpoint(200)
    sagemaker.update_endpoint(EndpointName="here", EndpointConfigName="newer")
    sagemaker_twin.clock.advance(150)
    assert not endpoint.gone.wait(0.5)
    sagemaker_twin.clock.advance(50)
    endpoint.wait()
    sagemaker_twin.clock.advance(480)  # the longest time between two attempts
    assert endpoint.gone.wait(10)


@pytest.mark.parametrize(
    ("policy", "again"),
    [
        ({"MaximumRetryAttempts": 0}, False),
        ({"MaximumRetryAttempts": 2}, True),
        ({"MaximumEventAgeInSeconds": 60}, True),
    ],
)
def test_it_is_tried_as_often_as_its_policy_says(
    sagemaker_twin: SagemakerTwin, policy: dict[str, int], again: bool
) -> None:
    clock = sagemaker_twin.clock
    clock.freeze()
    sagemaker_twin.faults.slow_endpoint(3600)
    make(sagemaker_twin)
    asked = entry(sagemaker_twin, 100, RetryPolicy=policy)
    sagemaker_twin.client("scheduler").create_schedule(**asked)
    clock.advance(100)
    if again:
        endpoint = sagemaker_twin.endpoints["here"]
        assert not endpoint.gone.wait(0.5) and not sagemaker_twin.firings

    def given_up() -> bool:
        clock.advance(1)
        return bool(sagemaker_twin.firings)

    until(given_up)
    [firing] = sagemaker_twin.firings
    assert "in-progress" in firing.problem
    assert sagemaker_twin.resources()["schedules"] == []


def test_an_end_that_a_client_sets_by_its_own_clock_comes_when_it_is_due(
    sagemaker_twin: SagemakerTwin,
) -> None:
    scheduler = sagemaker_twin.client("scheduler")
    sagemaker_twin.clock.advance(3 * 3600)
    end = datetime.now(UTC) + timedelta(hours=2)
    asked = {**entry(sagemaker_twin, 0), "ScheduleExpression": f"at({end:%Y-%m-%dT%H:%M:%S})"}
    for _ in range(2):  # and again, under the same name
        scheduler.create_schedule(**asked)
        make(sagemaker_twin)
        endpoint = sagemaker_twin.endpoints["here"].wait()
        assert endpoint.pids
        sagemaker_twin.clock.advance(7100)
        assert not endpoint.gone.wait(0.5)
        sagemaker_twin.clock.advance(100)
        assert endpoint.gone.wait(10)
        sagemaker_twin.client("sagemaker").delete_endpoint_config(EndpointConfigName="here")
        sagemaker_twin.client("sagemaker").delete_model(ModelName="here")
    assert [one.problem for one in sagemaker_twin.firings] == ["", ""]


@pytest.mark.parametrize(
    ("changes", "target", "words"),
    [
        ({"ScheduleExpression": "at(2020-01-01T00:00:00)"}, {}, "Invalid Schedule Expression"),
        ({"ScheduleExpression": "at(tomorrow)"}, {}, "Invalid Schedule Expression"),
        ({}, {"RoleArn": "arn:aws:iam::123456789012:role/nobody"}, "execution role you provide"),
        ({}, {"Input": "{}"}, "Invalid RequestJson provided"),
        ({}, {"Input": "here"}, "not a JSON object"),
    ],
)
def test_what_could_not_come_to_pass_is_refused(
    sagemaker_twin: SagemakerTwin, changes: dict[str, Any], target: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        sagemaker_twin.client("scheduler").create_schedule(
            **{**entry(sagemaker_twin, 60, **target), **changes}
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_the_scheduler_has_to_be_trusted(sagemaker_twin: SagemakerTwin) -> None:
    arn = role(sagemaker_twin, "sagemaker-only", "sagemaker.amazonaws.com")
    with pytest.raises(ClientError, match="must allow AWS EventBridge Scheduler to assume"):
        sagemaker_twin.client("scheduler").create_schedule(**entry(sagemaker_twin, 60, RoleArn=arn))


def test_a_role_that_may_not_delete_leaves_the_endpoint_and_the_twin_says_so(
    sagemaker_twin: SagemakerTwin,
) -> None:
    arn = role(sagemaker_twin, "weak", "scheduler.amazonaws.com", "sagemaker:StopTrainingJob")
    sagemaker_twin.client("scheduler").create_schedule(**entry(sagemaker_twin, 60, RoleArn=arn))
    make(sagemaker_twin)
    sagemaker_twin.endpoints["here"].wait()
    sagemaker_twin.clock.advance(60)
    assert "may not do sagemaker:DeleteEndpoint" in until(lambda: sagemaker_twin.firings)[0].problem
    assert sagemaker_twin.endpoints["here"].status == "InService"


def test_a_role_that_is_gone_by_then_deletes_nothing(sagemaker_twin: SagemakerTwin) -> None:
    arn = role(sagemaker_twin, "brief", "scheduler.amazonaws.com")
    sagemaker_twin.client("scheduler").create_schedule(**entry(sagemaker_twin, 60, RoleArn=arn))
    sagemaker_twin.client("iam").delete_role(RoleName="brief")
    sagemaker_twin.clock.advance(60)
    assert "does not exist" in until(lambda: sagemaker_twin.firings)[0].problem
