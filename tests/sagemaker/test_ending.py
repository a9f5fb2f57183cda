"""No endpoint is forgotten: each has an end, use may move it, and what it leaves is swept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from shelved import (
    ADA,
    end_of,
    gone,
    left_of_endpoints,
    quickly,
    twin_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.lease import Lease
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import describe
from lensa.client import Client
from lensa.errors import AccountError
from lensa.testing import SagemakerTwin


def running(twin: SagemakerTwin, **options: object) -> str:
    """Return the name of an endpoint that is in service."""
    name = str(quickly(**options).name)
    twin.endpoints[name].wait()
    return name


def let_it_end(twin: SagemakerTwin, name: str) -> None:
    """Let the hour come that its end is set for."""
    endpoint = twin.endpoints[name]
    twin.clock.advance((end_of(twin, name) - twin.clock.now()).total_seconds() + 1)
    assert endpoint.gone.wait(30), twin.firings


def test_a_client_that_was_killed_leaves_an_endpoint_that_ends_at_its_hour(
    twin: SagemakerTwin,
) -> None:
    killed = (
        "import lensa, os; lensa.deploy(os.environ['ADA'], wait=False); os.kill(os.getpid(), 9)"
    )
    client = subprocess.run(
        [sys.executable, "-c", killed], env={**os.environ, "ADA": ADA}, capture_output=True
    )
    assert client.returncode == -signal.SIGKILL, client.stderr
    [endpoint] = twin.endpoints.values()
    endpoint.wait()
    twin.clock.advance(2 * 3600 - 300)
    assert not endpoint.gone.wait(0.5) and not twin.firings
    twin.clock.advance(301)
    assert endpoint.gone.wait(30)
    assert twin.endpoints == {} and twin.resources()["schedules"] == []


def test_use_moves_an_end_that_is_near_and_leaves_one_that_is_far(twin: SagemakerTwin) -> None:
    name = running(twin, keep="4h", extend=True)
    state = describe(Account(), name)
    assert state is not None and state.extend
    far = end_of(twin, name)
    Lease(Account(), state).used()
    assert end_of(twin, name) == far

    soon = datetime.now(UTC) + timedelta(hours=1)
    Schedules(Account()).move(name, soon)
    lease = Lease(Account(), state)
    lease.used()
    assert end_of(twin, name) >= far
    moves = len(twin.called("UpdateSchedule"))
    lease.used()  # as often as anybody likes: AWS is asked once in minutes
    assert len(twin.called("UpdateSchedule")) == moves


def test_use_moves_nothing_unless_it_was_asked_to(twin: SagemakerTwin) -> None:
    name = running(twin)
    soon = datetime.now(UTC) + timedelta(minutes=10)
    Schedules(Account()).move(name, soon)
    state = describe(Account(), name)
    assert state is not None
    lease = Lease(Account(), state)
    lease.used()
    assert lease.end() == soon.replace(microsecond=0)


def test_what_an_ended_endpoint_has_left_is_swept(twin: SagemakerTwin) -> None:
    name = running(twin)
    let_it_end(twin, name)
    assert left_of_endpoints(twin)
    [down] = Client().down(expired=True)
    assert down.name == name and not down.failed
    assert left_of_endpoints(twin) == []
    assert Client().down(expired=True) == []


def test_a_deployment_that_is_under_way_elsewhere_is_not_swept(twin: SagemakerTwin) -> None:
    name = running(twin, keep="2h")
    twin.client("sagemaker").delete_endpoint(EndpointName=name)
    gone(twin, name)
    assert Client().down(expired=True) == []  # its end lies ahead: somebody may be making it
    assert left_of_endpoints(twin)


def test_the_next_of_that_name_begins_with_nothing_of_the_last_one(twin: SagemakerTwin) -> None:
    name = running(twin, name="lensa-team")
    twin.client("s3").put_object(
        Bucket=twin.bucket, Key=f"lensa/endpoints/{name}/avatars/{ADA}/avatar.json", Body=b"{}"
    )
    let_it_end(twin, name)
    again = quickly(name="lensa-team")
    assert again.avatars == [ADA]
    assert not [left for left in left_of_endpoints(twin) if "/avatars/" in left]


def test_what_cannot_be_removed_is_told_and_the_rest_goes(twin: SagemakerTwin) -> None:
    name = running(twin)
    denied = "User: arn:aws:iam::1:user/ada is not authorized to perform: sagemaker:DeleteModel"
    twin.faults.fail("DeleteModel", "AccessDeniedException", denied)
    with pytest.raises(AccountError, match=f"try again with: lensa down {name}"):
        Client().endpoint(name).close()
    assert twin.endpoints == {}  # what costs has gone first
    left = left_of_endpoints(twin)
    assert [one for one in left if not one.startswith("lensa/")] == [left[0], name]
    assert end_of(twin, name)  # and the end last
    assert Client().down(name)[0].failed == ()
    assert left_of_endpoints(twin) == []


def test_one_that_is_still_being_made_is_waited_for(twin: SagemakerTwin) -> None:
    twin.faults.slow_endpoint(1)
    endpoint = quickly()
    assert twin.endpoints[str(endpoint.name)].status == "Creating"
    endpoint.close()
    assert left_of_endpoints(twin) == []


def test_one_that_begins_to_change_when_it_is_deleted_is_waited_for(twin: SagemakerTwin) -> None:
    name = running(twin)
    refusal = f'Cannot update in-progress endpoint "{twin.endpoints[name].arn}".'
    twin.faults.fail("DeleteEndpoint", "ValidationException", refusal)
    [down] = Client().down(name)
    assert not down.failed and len(twin.called("DeleteEndpoint")) == 2
    assert left_of_endpoints(twin) == []


def test_one_that_wakes_is_waited_for(twin: SagemakerTwin) -> None:
    name = running(twin)
    twin.faults.slow_endpoint(1)
    twin.endpoints[name].config.request["AsyncInferenceConfig"] = {"OutputConfig": {}}
    change = twin.client("sagemaker").update_endpoint_weights_and_capacities
    for count in (0, 1):
        wanted = {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
        change(EndpointName=name, DesiredWeightsAndCapacities=[wanted])
        if not count:
            twin.endpoints[name].wait()
    assert twin.endpoints[name].status == "Updating"
    [down] = Client().down(name)
    assert not down.failed
    assert left_of_endpoints(twin) == []


def test_a_schedule_that_is_not_ours_is_no_end(twin: SagemakerTwin) -> None:
    name = running(twin)
    schedule = twin.client("scheduler").get_schedule(Name=name)
    schedule["Target"]["Input"] = json.dumps({"EndpointName": "another"})
    twin.client("scheduler").update_schedule(
        Name=name,
        ScheduleExpression=schedule["ScheduleExpression"],
        FlexibleTimeWindow=schedule["FlexibleTimeWindow"],
        Target=schedule["Target"],
    )
    [one] = Client().endpoints()
    assert one.end is None and not one.forever
