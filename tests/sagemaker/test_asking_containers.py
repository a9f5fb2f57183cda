"""Deployed endpoints whose containers run our code: asked, refused, busy, asleep and gone."""

from __future__ import annotations

import pytest
from cloud import keys_in, settle
from shelved import ADA, left_of_endpoints, shelve

from lensa.avatar import Avatar
from lensa.client import Client
from lensa.endpoint import Endpoint
from lensa.errors import EndpointError, NotFoundError
from lensa.testing import SagemakerTwin

STRANGER = "lensa-00000000-00000000"


@pytest.fixture(name="twin")
def twin_fixture(
    sagemaker_twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch, micro_avatar: Avatar
) -> SagemakerTwin:
    settle(sagemaker_twin, monkeypatch)
    shelve(sagemaker_twin, micro_avatar)
    return sagemaker_twin


def deploy(**options: object) -> tuple[str, Endpoint]:
    endpoint = Client().deploy(ADA, on_event=lambda event: None, **options)
    return str(endpoint.name), endpoint


def test_a_real_time_endpoint_through_all_that_happens_to_it(
    twin: SagemakerTwin, caplog: pytest.LogCaptureFixture
) -> None:
    name, endpoint = deploy()
    before = len(twin.called("InvokeEndpoint"))
    gallery = endpoint.generate("me at sea", count=6, seed=5, steps=2)
    assert [image.index for image in gallery] == list(range(6))
    assert gallery[0].prompt == "ohwx person at sea"
    assert gallery.pictures()[0].size == (32, 32)
    assert len(twin.called("InvokeEndpoint")) == before + 2  # four images, and two

    twin.faults.throttle(1, "InvokeEndpoint")
    twin.faults.fail("InvokeEndpoint", "ModelNotReadyException", status=429)
    twin.faults.busy(2)
    (again,) = endpoint.generate("me at sea", seed=5, steps=2)
    assert again.data == gallery[0].data
    for reason in ("Rate exceeded", "ModelNotReadyException", "No worker is available"):
        assert reason in caplog.text
    assert "at sea" not in caplog.text

    with pytest.raises(NotFoundError, match=STRANGER):
        endpoint.generate("me", avatar=STRANGER)

    elsewhere = Client().endpoint(name)
    endpoint.close()
    assert not elsewhere.alive()
    with pytest.raises(
        EndpointError, match=rf"{name} has ended \(its end was set for 20.*Deploy the avatar again"
    ):
        elsewhere.generate("me")


@pytest.mark.slow
def test_an_asynchronous_endpoint_from_zero(
    twin: SagemakerTwin, caplog: pytest.LogCaptureFixture
) -> None:
    name, endpoint = deploy(asynchronous=True, keep="1d")
    twin.clock.advance(3600)
    twin.endpoints[name].wait_for(lambda one: one.current == 0)

    asked = len(twin.called("InvokeEndpointAsync"))
    gallery = endpoint.generate("me at sea", count=6, seed=5, steps=2)
    assert [image.index for image in gallery] == list(range(6))
    assert len(twin.called("InvokeEndpointAsync")) == asked + 1
    assert "machine" in caplog.text and "at sea" not in caplog.text

    pending = endpoint.generate("me at sea", seed=5, steps=2, wait=False)
    (again,) = Client().endpoint(name).pending(pending.id).wait()
    assert again.data == gallery[0].data

    with pytest.raises(NotFoundError, match=STRANGER):
        endpoint.generate("me", avatar=STRANGER)
    assert not [key for key in keys_in(twin) if "/async/" in key]

    endpoint.close()
    assert left_of_endpoints(twin) == []
