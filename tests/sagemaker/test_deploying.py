"""Deploying to SageMaker: its end is set first, an image proves it, what fails leaves nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from shelved import (
    ADA,
    REX,
    deploy,
    end_of,
    left_of_endpoints,
    quickly,
    shelve,
    shelve_broken,
    twin_fixture,  # noqa: F401
)
from typer.testing import CliRunner

from lensa.avatar import Avatar
from lensa.cli import app
from lensa.client import Client
from lensa.contract import BASES
from lensa.contract.events import Event, NoticeEvent, PhaseEvent, ProgressEvent
from lensa.errors import AccountError, ConfigError, EndpointError, NotFoundError
from lensa.testing import SagemakerTwin


def test_an_endpoint_draws_takes_another_avatar_in_and_goes_with_its_block(
    twin: SagemakerTwin,
) -> None:
    events: list[Event] = []
    with deploy(events=events) as endpoint:
        name = str(endpoint.name)
        assert [one.operation for one in twin.calls if one.operation.startswith("Create")][-4:] == [
            "CreateSchedule",
            "CreateModel",
            "CreateEndpointConfig",
            "CreateEndpoint",
        ]
        phases = [event.phase for event in events if isinstance(event, PhaseEvent)]
        assert phases[0] == "creating" and "loading" in phases
        assert "$1.408 an hour" in str(events[0])

        gallery = endpoint.generate("as an astronaut", count=2, seed=5, steps=1, expand=True)
        assert gallery.pictures()[0].size == (32, 32)

        # Another one, with nothing deployed anew; and from another machine.
        endpoint.add(REX)
        again = Client().endpoint(name)
        assert again.avatars == [ADA, REX] and again.avatar == ADA
        drawn = again.generate("as an astronaut", avatar=REX, seed=5, steps=1, expand=True)
        assert drawn.pictures()[0].tobytes() == gallery.pictures()[0].tobytes()  # same weights
        assert deploy().name == name and len(twin.called("CreateEndpoint")) == 1

        asked = CliRunner().invoke(
            app,
            [*("generate", REX, "on the moon", "--endpoint", name), *("--steps", "1", "--json")],
        )
        assert json.loads(asked.stdout)["images"], asked.output

        # A generation asked of the avatar itself finds the endpoint, and leaves it running.
        assert len(Client().avatar(REX).generate("on the moon", steps=1)) == 1
        assert endpoint.alive()

        endpoint.remove(REX)
        with pytest.raises(ConfigError, match="was deployed with"):
            endpoint.remove(ADA)
    assert left_of_endpoints(twin) == []
    endpoint.close()  # again does nothing


def test_an_interrupted_one_leaves_the_same_endpoint_of_another_client_alone(
    twin: SagemakerTwin,
) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, ProgressEvent) and not twin.endpoints:
            quickly()  # another client is quicker
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Client().deploy(ADA, on_event=interrupt)
    [endpoint] = twin.endpoints.values()
    assert endpoint.wait().status == "InService" and end_of(twin, endpoint.name)


def test_the_end_is_set_before_the_endpoint_and_is_exact(twin: SagemakerTwin) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    endpoint = quickly(keep="3d")
    [request] = twin.called("CreateSchedule")
    assert before + timedelta(days=3) <= end_of(twin, str(endpoint.name))
    assert end_of(twin, str(endpoint.name)) <= datetime.now(UTC) + timedelta(days=3)
    assert endpoint.end == end_of(twin, str(endpoint.name))
    assert json.loads(request["Target"]["Input"]) == {"EndpointName": endpoint.name}
    assert request["Target"]["RoleArn"] == twin.role


def test_for_ever_is_typed_out_and_has_no_end(twin: SagemakerTwin) -> None:
    events: list[Event] = []
    endpoint = quickly(keep="forever", events=events)
    assert endpoint.end is None and not twin.called("CreateSchedule")
    assert "it costs until it is taken down" in str(events[0])


def test_asked_for_twice_it_is_the_same_endpoint_and_never_ends_sooner(
    twin: SagemakerTwin,
) -> None:
    first = quickly(keep="3d")
    twin.endpoints[str(first.name)].wait()
    events: list[Event] = []
    end = end_of(twin, str(first.name))
    second = quickly(events=events)
    assert second.name == first.name and len(twin.called("CreateEndpoint")) == 1
    assert second.end == end
    assert quickly(keep="9d").end == end_of(twin, str(first.name)) > end
    assert any(
        "runs already" in event.message for event in events if isinstance(event, NoticeEvent)
    )
    assert quickly(instance_type="ml.g5.2xlarge").name != first.name


def test_what_never_gets_healthy_is_told_with_its_log_and_leaves_nothing(
    twin: SagemakerTwin,
) -> None:
    twin.faults.fail_endpoint(log="ImportError: no module named torch")
    with pytest.raises(EndpointError) as raised:
        deploy()
    told = str(raised.value)
    assert "did not pass the ping health check" in told
    assert "ImportError: no module named torch" in told
    assert "/aws/sagemaker/Endpoints/lensa-adaadaad-" in told
    assert left_of_endpoints(twin) == []


@pytest.mark.slow
def test_what_is_in_service_and_cannot_draw_is_taken_down_too(
    twin: SagemakerTwin, micro_avatar: Avatar
) -> None:
    broken = shelve_broken(twin, micro_avatar)
    with pytest.raises(EndpointError, match=r"it does not draw.* was altered") as raised:
        deploy(broken)
    assert "/aws/sagemaker/Endpoints/" in str(raised.value)
    assert left_of_endpoints(twin) == []


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("CreateSchedule", "must allow AWS EventBridge Scheduler"),
        ("CreateEndpoint", "quota"),
    ],
)
def test_what_aws_refuses_leaves_nothing(twin: SagemakerTwin, operation: str, words: str) -> None:
    if operation == "CreateEndpoint":
        twin.quotas["ml.g5.xlarge for endpoint usage"] = 0
    else:
        said = "The execution role you provide must allow AWS EventBridge Scheduler to assume it."
        twin.faults.fail(operation, "ValidationException", said)
    with pytest.raises(AccountError) as raised:
        deploy()
    assert words in str(raised.value)
    assert left_of_endpoints(twin) == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_deployment_is_taken_down(
    twin: SagemakerTwin, problem: type[BaseException]
) -> None:
    twin.faults.slow_endpoint(3600)

    def interrupt(event: Event) -> None:
        if isinstance(event, PhaseEvent) and event.phase == "creating":
            twin.clock.advance(3600)  # it can be deleted when it has arrived
            raise problem
        if isinstance(event, NoticeEvent) and "taking down" in event.message:
            raise RuntimeError("a listener that is no help")

    with pytest.raises(problem):
        Client().deploy(ADA, on_event=interrupt)
    assert left_of_endpoints(twin) == []


@pytest.mark.slow
def test_a_name_of_ones_own_is_updated_and_what_it_was_made_of_goes(twin: SagemakerTwin) -> None:
    first = quickly(name="lensa-team")
    running = twin.endpoints["lensa-team"].wait()
    before = running.config.name
    deploy(ADA, REX, name="lensa-team")
    assert first.alive() and running.config.name != before
    assert len(twin.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]) == 1
    assert len(twin.client("sagemaker").list_models()["Models"]) == 1
    again = Client().endpoint("lensa-team")
    assert again.avatars == [ADA, REX]
    again.close()
    assert left_of_endpoints(twin) == []


def test_an_update_that_fails_leaves_what_served_before(twin: SagemakerTwin) -> None:
    quickly(name="lensa-team")
    before = twin.endpoints["lensa-team"].wait().config.name
    refusal = 'Cannot update in-progress endpoint "arn".'  # it began to change at that moment
    twin.faults.fail("UpdateEndpoint", "ValidationException", refusal)
    twin.faults.fail_endpoint(log="out of luck")
    with pytest.raises(EndpointError, match="It serves what it did before") as raised:
        deploy(ADA, REX, name="lensa-team")
    assert "out of luck" in str(raised.value)
    assert twin.endpoints["lensa-team"].config.name == before
    assert len(twin.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]) == 1


@pytest.mark.slow
def test_an_update_that_cannot_draw_goes_back_to_what_served_before(
    twin: SagemakerTwin, micro_avatar: Avatar
) -> None:
    broken = shelve_broken(twin, micro_avatar)
    quickly(name="lensa-team")
    before = twin.endpoints["lensa-team"].wait().config.name
    with pytest.raises(EndpointError, match="It serves what it did before"):
        deploy(broken, name="lensa-team")
    assert twin.endpoints["lensa-team"].config.name == before
    assert twin.endpoints["lensa-team"].status == "InService"
    assert len(twin.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]) == 1
    assert Client().endpoint("lensa-team").avatars == [ADA]


def test_what_somebody_else_made_is_never_touched(twin: SagemakerTwin) -> None:
    quickly(name="lensa-team")
    theirs = twin.endpoints["lensa-team"].wait()
    theirs.tags.clear()
    with pytest.raises(AccountError, match="that lensa did not make"):
        quickly(name="lensa-team")
    with pytest.raises(NotFoundError):
        Client().endpoint("lensa-team")
    assert Client().running() == []


@pytest.mark.slow  # its packages travel with it
def test_an_isolated_endpoint_has_a_fixed_set(twin: SagemakerTwin) -> None:
    events: list[Event] = []
    endpoint = quickly(network_isolation=True, events=events)
    assert "none can be added" in str(events[0])
    with pytest.raises(ConfigError, match="has a fixed set of avatars"):
        endpoint.add(REX)


def test_what_does_not_go_together_is_refused_before_anything_is_made(
    twin: SagemakerTwin, micro_avatar: Avatar
) -> None:
    config = micro_avatar.manifest.config
    full = shelve(
        twin,
        micro_avatar,
        "lensa-fullfull-00000004",
        config=config.model_copy(update={"method": "full"}),
    )
    other = shelve(twin, micro_avatar, "lensa-otherbas-00000005", base_revision="another")
    hub = shelve(
        twin,
        micro_avatar,
        "lensa-hubhubhu-00000006",
        config=config.model_copy(update={"base": BASES["sd15"]}),
    )
    for avatars, options, words in [
        ((ADA, full), {}, "has weights of its own"),
        ((ADA, other), {}, "one endpoint has one base"),
        ((hub,), {"network_isolation": True}, "lensa mirror stable-diffusion-v1-5/"),
        ((ADA,), {"port": 8080}, "port is an option of backend='local'"),
        ((ADA,), {"kep": "2h"}, "Did you mean 'keep'?"),
    ]:
        with pytest.raises(ConfigError) as raised:
            deploy(*avatars, **options)
        assert words in str(raised.value)
    with pytest.raises(NotFoundError, match="lensa deploy"):
        Client().avatar(ADA).generate("x")
    assert left_of_endpoints(twin) == []
    with pytest.raises(ConfigError, match="keep is an option of backend='sagemaker'"):
        micro_avatar.deploy(keep="2h")


@pytest.mark.slow
def test_an_asynchronous_one_goes_to_zero_machines_and_draws_all_the_same(
    twin: SagemakerTwin,
) -> None:
    with deploy(asynchronous=True) as endpoint:
        assert twin.resources()["scalable_targets"] and twin.resources()["alarms"]
        [one] = Client().endpoints()
        assert (one.kind, one.at_most) == ("asynchronous endpoint", True)
        assert len(endpoint.generate("as an astronaut", count=2, seed=5, steps=1)) == 2
    assert left_of_endpoints(twin) == []


@pytest.mark.slow
def test_our_own_image_serves_the_same_folder(twin: SagemakerTwin) -> None:
    ecr = twin.client("ecr")
    ecr.create_repository(repositoryName="lensa-serving")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": "sha256:0"}}
    ecr.put_image(repositoryName="lensa-serving", imageManifest=json.dumps(manifest), imageTag="1")
    image = f"{twin.account}.dkr.ecr.us-east-1.amazonaws.com/lensa-serving:1"
    with deploy(ADA, REX, serving="own", image=image) as endpoint:
        ours = endpoint.generate("as an astronaut", seed=5, steps=1)
        theirs = endpoint.generate("as an astronaut", avatar=REX, seed=5, steps=1)
        assert ours.pictures()[0].tobytes() == theirs.pictures()[0].tobytes()  # same weights
    assert left_of_endpoints(twin) == []


def test_an_asynchronous_one_is_waited_for(twin: SagemakerTwin) -> None:
    with pytest.raises(ConfigError, match="leave --no-wait"):
        quickly(asynchronous=True)
    name = str(quickly(name="lensa-team").name)
    twin.endpoints[name].wait()
    with pytest.raises(ConfigError, match="is a real-time endpoint"):
        deploy(name="lensa-team", asynchronous=True)
