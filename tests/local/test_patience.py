"""The client's patience: a busy endpoint is asked again, and for what one answer had no time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
from making import make_avatar
from serving import Server, figure, ready

from lensa.backends.local.asking import HttpServer
from lensa.endpoint import Endpoint

DEADLINE = 2.0  # seconds


class Running(HttpServer):
    """A server that this test has started itself."""

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server that draws one image at a time, and has little time for each answer."""
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    options = ("--port", "0", "--queue", "1", "--batch", "1", "--deadline", str(DEADLINE))
    with Server(root, *options) as server, server.client() as client:
        assert ready(client).status_code == 200
        yield client


@pytest.fixture(scope="module")
def endpoint(client: httpx.Client) -> Endpoint:
    return Endpoint("ada", Running(str(client.base_url).rstrip("/")))


@pytest.fixture(scope="module")
def steps(endpoint: Endpoint) -> int:
    """As many as let this machine draw about eight images in the time for an answer."""
    a_step = endpoint.generate("me", steps=8, seed=5).seconds / 8
    return max(1, min(200, round(DEADLINE / 8 / a_step)))


def test_what_there_was_no_time_for_is_asked_for_again(
    client: httpx.Client, endpoint: Endpoint, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["lensa.sending"], "_AT_A_TIME", 64)
    before = figure(client, "lensa_requests_total", status="200")
    gallery = endpoint.generate("me", count=24, steps=steps, seed=5)
    assert figure(client, "lensa_requests_total", status="200") >= before + 2
    assert [image.index for image in gallery] == list(range(24))
    assert {image.seed for image in gallery} == {5}
    (last,) = endpoint.generate("me", index=23, steps=steps, seed=5)
    assert last.data == gallery[23].data
    assert gallery.warnings == ()


def test_a_busy_endpoint_is_asked_again_and_the_log_says_so(
    endpoint: Endpoint, steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(5) as pool:
        asked = [
            pool.submit(endpoint.generate, "me", steps=steps, seed=seed, count=2)
            for seed in range(5)
        ]
        galleries = [one.result() for one in asked]
    assert [gallery[0].seed for gallery in galleries] == list(range(5))
    assert [len(gallery) for gallery in galleries] == [2] * 5
    assert "the endpoint is busy, asking again in" in caplog.text
