"""Deployments that meet: of one client after another, of two at once, of one that was interrupted.

What another client made stays; what an update could not change serves, and scales, as it did.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shelved import (
    ADA,
    REX,
    end_of,
    left_of_endpoints,
    quickly,
    twin_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting import scaling
from lensa.backends.sagemaker.hosting.deploying import Deployment
from lensa.backends.sagemaker.hosting.making import Making
from lensa.backends.sagemaker.hosting.options import DeployOptions
from lensa.backends.sagemaker.hosting.order import Order, Site, compose
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import describe
from lensa.client import Client
from lensa.contract import GenerationRequest
from lensa.contract.events import Event, PhaseEvent, ProgressEvent
from lensa.errors import AccountError, EndpointBusy, EndpointError, LensaError
from lensa.settings import load_settings
from lensa.testing import SagemakerTwin

TEAM = "lensa-team"


class Answering:
    """Stands where an endpoint is asked for its first image, without a model in memory."""

    def __init__(self, problem: LensaError | None = None) -> None:
        self.problem = problem

    def invoke(self, request: GenerationRequest) -> None:
        if self.problem is not None:
            raise self.problem


def ordered(*avatars: str, **options: Any) -> tuple[Site, Order]:
    backend = Client().backend
    manifests = [backend.manifest(avatar) for avatar in avatars]
    site = Site(backend.account, backend.store, load_settings())  # type: ignore[attr-defined]
    return site, compose(site, manifests, DeployOptions(**{"name": TEAM, **options}))


def run(
    *avatars: str,
    answer: LensaError | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    wait: bool = True,
    **options: Any,
) -> bool:
    site, order = ordered(*avatars, **options)

    def ask(on_wait: Callable[[str], None]) -> Any:
        return Answering(answer)

    return Deployment(site, order, ask, lambda: None, on_event).run(wait=wait)


def serving(twin: SagemakerTwin) -> str:
    """Return the one configuration that is left, which the endpoint in service has."""
    [config] = twin.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]
    [model] = twin.client("sagemaker").list_models()["Models"]
    endpoint = twin.endpoints[TEAM].wait()
    assert (endpoint.status, endpoint.config.name) == ("InService", config["EndpointConfigName"])
    assert model["ModelName"].startswith(TEAM)
    folders = {key.split("/")[4] for key in left_of_endpoints(twin) if "/models/" in key}
    assert len(folders) == 1
    return endpoint.config.name


# --- updates that fail ---


@pytest.mark.parametrize(
    "problem",
    [
        "refused",
        pytest.param("does not draw", marks=pytest.mark.slow),
        pytest.param("unhealthy", marks=pytest.mark.slow),
        pytest.param("interrupted", marks=pytest.mark.slow),
    ],
)
def test_an_asynchronous_endpoint_scales_as_it_did_after_an_update_that_failed(
    twin: SagemakerTwin, problem: str
) -> None:
    run(ADA, asynchronous=True, max_instances=3)
    before, answer, on_event = serving(twin), None, lambda event: None
    if problem == "refused":
        twin.faults.fail("UpdateEndpoint", "ValidationException", "no")
    elif problem == "unhealthy":
        twin.faults.fail_endpoint(log="out of luck")
    elif problem == "does not draw":
        answer = EndpointError("its weights are not there")
    else:
        pressed: list[Event] = []

        def on_event(event: Event) -> None:
            if isinstance(event, PhaseEvent) and event.phase == "updating" and not pressed:
                pressed.append(event)
                raise KeyboardInterrupt

    with pytest.raises((LensaError, KeyboardInterrupt)) as raised:
        run(ADA, REX, asynchronous=True, max_instances=5, answer=answer, on_event=on_event)
    kept = problem != "interrupted"  # AWS takes no update back: then it serves what was wanted
    assert (serving(twin) == before) is kept
    assert scaling.most(Account(), TEAM) == (3 if kept else 5)
    assert "taken down again" not in str(raised.value)
    if problem in {"unhealthy", "does not draw"}:
        assert "It serves what it did before." in str(raised.value)


def test_a_container_that_has_no_time_for_the_first_image_is_kept(twin: SagemakerTwin) -> None:
    run(ADA)
    before, events = serving(twin), []
    busy = EndpointBusy("the queue is full")
    run(ADA, REX, answer=busy, on_event=events.append)
    assert serving(twin) != before
    assert any("nobody knows yet whether it draws" in str(event) for event in events)
    assert run(ADA, REX, answer=busy) is False  # and asked for again it is found
    with pytest.raises(EndpointError, match="It runs on, and costs"):
        run(ADA, REX, answer=EndpointError("broken"))
    assert twin.endpoints[TEAM].status == "InService"


def test_an_update_takes_a_quota_of_two_and_says_so(twin: SagemakerTwin) -> None:
    run(ADA)
    before = serving(twin)
    twin.quotas["ml.g5.xlarge for endpoint usage"] = 1
    with pytest.raises(AccountError, match=f"(?s)have a quota of two.*lensa down {TEAM}"):
        run(ADA, REX)
    assert serving(twin) == before


def test_the_end_moves_before_an_update_uploads(twin: SagemakerTwin) -> None:
    run(ADA, asynchronous=True, max_instances=3)

    def interrupt(event: Event) -> None:
        if isinstance(event, ProgressEvent):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ADA, REX, keep="9d", asynchronous=True, max_instances=5, on_event=interrupt)
    assert end_of(twin, TEAM) > datetime.now(UTC) + timedelta(days=8)
    assert scaling.most(Account(), TEAM) == 3


# --- found again ---


def test_what_lost_its_scaling_or_is_to_have_another_gets_it(twin: SagemakerTwin) -> None:
    run(ADA, asynchronous=True, wait=False)  # whoever asked died before it scaled
    twin.endpoints[TEAM].wait()
    assert scaling.most(Account(), TEAM) is None
    for most in (1, 4):
        run(ADA, asynchronous=True, max_instances=most)
        assert scaling.most(Account(), TEAM) == most
    assert len(twin.called("CreateEndpoint")) == 1


def test_a_block_takes_down_what_it_began_and_leaves_what_it_found(
    twin: SagemakerTwin, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    with quickly() as first:
        name = str(first.name)
        twin.endpoints[name].wait()
        with caplog.at_level(logging.WARNING, "lensa"), quickly(events=events):
            pass
        assert f"{name} ran before this `with` block, and runs on" in caplog.text
        assert any("runs already, and runs on" in str(event) for event in events)
        with Client().endpoint(name):
            pass
        assert twin.endpoints[name].status == "InService"
    assert left_of_endpoints(twin) == []

    quickly()
    twin.endpoints[name].wait()
    with quickly() as found:
        found.close()
    assert left_of_endpoints(twin) == []


def test_the_tags_say_how_long_it_is_kept_and_whether_use_extends_that(
    twin: SagemakerTwin,
) -> None:
    name = str(quickly(keep="3d", extend=True).name)
    twin.endpoints[name].wait()
    quickly(keep="2h", tags={"team": "b"})
    state = describe(Account(), name)
    assert state is not None and not state.extend
    assert (state.keep, state.tags["team"]) == ("3d", "b")
    quickly(keep="9d")
    again = describe(Account(), name)
    assert again is not None and again.keep == "9d"


@pytest.mark.slow
def test_one_that_lost_its_configuration_is_made_anew_and_in_nobodys_way(
    twin: SagemakerTwin,
) -> None:
    broken, sound = str(quickly(REX).name), str(quickly(ADA).name)
    for name in (broken, sound):
        config = twin.endpoints[name].wait().config.name
        if name == broken:
            twin.client("sagemaker").delete_endpoint_config(EndpointConfigName=config)
    with Client().avatar(ADA).at_hand() as endpoint:
        assert endpoint.name == sound
    assert quickly(REX).avatars == [REX]
    assert len(twin.called("CreateEndpoint")) == 3


@pytest.mark.slow
def test_what_answers_at_once_is_asked_before_what_has_to_wake(twin: SagemakerTwin) -> None:
    run(ADA, name="lensa-real-time")
    run(ADA, name="lensa-asleep", asynchronous=True)
    with Client().avatar(ADA).at_hand() as endpoint:
        assert endpoint.name == "lensa-real-time"
    Client().endpoint("lensa-real-time").close()
    with Client().avatar(ADA).at_hand() as endpoint:
        assert endpoint.name == "lensa-asleep"


def test_what_is_in_the_way_and_cannot_be_removed_is_told(twin: SagemakerTwin) -> None:
    twin.faults.fail_endpoint()
    name = str(quickly().name)
    twin.endpoints[name].wait("Failed")
    twin.faults.fail("DeleteModel", "AccessDeniedException", "no")
    with pytest.raises(AccountError, match="DeleteModel"):
        quickly()
    assert len(twin.called("CreateEndpoint")) == 1


# --- two clients at once ---


def test_a_request_whose_answer_was_lost_has_made_the_endpoint_all_the_same(
    twin: SagemakerTwin,
) -> None:
    site, order = ordered(ADA)

    def ask(on_wait: Callable[[str], None]) -> Any:
        return Answering()

    ours, theirs = (Making(site, order, ask, lambda event: None) for _ in range(2))
    ours.upload()
    ours.make_parts()
    assert ours.make_endpoint()
    assert ours.make_endpoint()  # as when it is sent again: AWS says that it is there already
    assert not theirs.make_endpoint()


def test_one_that_another_client_made_meanwhile_stays_when_ours_fails(
    twin: SagemakerTwin,
) -> None:
    def be_slower(event: Event) -> None:
        if isinstance(event, ProgressEvent) and not twin.endpoints:
            run(ADA)

    with pytest.raises(EndpointError, match="Another client has made it meanwhile, and it stays"):
        run(ADA, on_event=be_slower, answer=EndpointError("broken"))
    assert twin.endpoints[TEAM].status == "InService" and end_of(twin, TEAM)


def test_what_another_client_is_about_to_make_is_left_to_it(twin: SagemakerTwin) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=5)

    def interrupt(event: Event) -> None:
        if isinstance(event, ProgressEvent):
            Schedules(Account()).move(TEAM, later)  # as the other client sets it
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ADA, on_event=interrupt)
    assert end_of(twin, TEAM) == later


# --- taking down ---


def test_all_are_asked_to_go_before_one_of_them_is_waited_for(twin: SagemakerTwin) -> None:
    names = [str(quickly(avatar).name) for avatar in (ADA, REX)]
    for name in names:
        twin.endpoints[name].wait()
    gone = Client().down(*names, "lensa-gone", listed=True)
    assert [one.name for one in gone] == names
    assert all(f"endpoint {one.name}" in one.removed for one in gone)
    said = [one.operation for one in twin.calls if one.operation.startswith("Delete")]
    assert said[:2] == ["DeleteEndpoint", "DeleteEndpoint"]
    assert left_of_endpoints(twin) == []
    assert Client().down(every=True) == []
