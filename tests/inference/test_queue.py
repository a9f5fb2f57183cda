"""The queue before the model: its bound, its order, and the time that a request has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from making import make_avatar
from serving import PICTURE, Server, ready

from lensa.contract import GenerationResponse

LONG = {"prompt": "x", "steps": 200, "count": 64}  # half a minute


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server that draws one request at a time."""
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    options = ("--port", "0", "--queue", "2", "--batch", "1")
    with Server(root, *options) as server, server.client() as client:
        assert ready(client).status_code == 200
        yield client


def impatient(client: httpx.Client, body: Any, seconds: float, **headers: str) -> int | None:
    """Return the status, or None after hanging up."""
    with suppress(httpx.ReadTimeout):
        timeout = httpx.Timeout(60, read=seconds)
        return client.post("/invocations", json=body, timeout=timeout, headers=headers).status_code
    return None


def waiting(client: httpx.Client) -> int:
    text = client.get("/metrics").text
    return next(
        int(float(line.split()[1]))
        for line in text.splitlines()
        if line.startswith("lensa_waiting ")
    )


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_full_queue_answers_503_and_a_client_that_hangs_up_frees_its_place(
    client: httpx.Client,
) -> None:
    with ThreadPoolExecutor(3) as pool:
        patience = [pool.submit(impatient, client, LONG, 6) for _ in range(3)]
        until(lambda: waiting(client) == 2)
        answer = client.post("/invocations", json=PICTURE)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "2 requests are waiting" in answer.text
        assert [one.result() for one in patience] == [None] * 3
    assert client.post("/invocations", json=PICTURE).status_code == 200
    assert waiting(client) == 0


def test_what_is_drawn_when_the_time_is_up_is_the_answer(client: httpx.Client) -> None:
    body = {**LONG, "steps": 20}
    answer = client.post("/invocations", json=body, headers={"X-Lensa-Deadline": "2.5"})
    response = GenerationResponse.model_validate_json(answer.content)
    assert answer.status_code == 200 and response.partial
    indices = [image.index for image in response.images]
    assert indices == list(range(len(indices))) and 1 <= len(indices) < 64
    assert not GenerationResponse.model_validate_json(
        client.post("/invocations", json=PICTURE, headers={"X-Lensa-Deadline": "50"}).content
    ).partial


def test_nothing_drawn_when_the_time_is_up_is_too_much(client: httpx.Client) -> None:
    answer = client.post("/invocations", json=LONG, headers={"X-Lensa-Deadline": "0.5"})
    assert answer.status_code == 413
    assert "fewer steps" in answer.json()["error"]["message"]


def test_a_turn_that_does_not_come_in_time_is_told_to_come_back(client: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(impatient, client, LONG, 4)
        until(lambda: "lensa_waiting 0" in client.get("/metrics").text)
        time.sleep(0.5)
        answer = client.post("/invocations", json=PICTURE, headers={"X-Lensa-Deadline": "1"})
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert "turn" in answer.json()["error"]["message"]
        assert first.result() is None


@pytest.mark.parametrize("deadline", ["soon", "-1", "0", "nan", "inf"])
def test_a_deadline_is_in_seconds(client: httpx.Client, deadline: str) -> None:
    answer = client.post("/invocations", json=PICTURE, headers={"X-Lensa-Deadline": deadline})
    assert answer.status_code == 400 and "such as 20" in answer.text
