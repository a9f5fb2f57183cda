"""The queue before the model: its bound, its order, and the time that a request has."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from making import make_avatar
from serving import LONG, PICTURE, Server, asked, drawn, followed, heard, ready, until, waiting

from lensa.contract import GenerationResponse


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server that draws one request at a time."""
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    options = ("--port", "0", "--queue", "2", "--batch", "1")
    with Server(root, *options) as server, server.client() as client:
        assert ready(client).status_code == 200
        yield client


def test_a_full_queue_answers_503_and_a_client_that_hangs_up_frees_its_place(
    client: httpx.Client,
) -> None:
    with drawn(client, LONG):
        with asked(client, LONG), asked(client, LONG):
            until(lambda: waiting(client) == 2)
            answer = client.post("/invocations", json=PICTURE)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert "2 requests are waiting" in answer.text
        until(lambda: waiting(client) == 0)  # theirs are free, and the first is still drawn
    assert client.post("/invocations", json=PICTURE).status_code == 200
    assert waiting(client) == 0


def test_what_is_drawn_when_the_time_is_up_is_the_answer(client: httpx.Client) -> None:
    body = {"prompt": "x", "steps": 50}
    one = GenerationResponse.model_validate_json(client.post("/invocations", json=body).content)
    enough = max(1, 8 * one.seconds)  # for about eight of 64, however fast this machine is
    answer = client.post(
        "/invocations", json={**body, "count": 64}, headers={"X-Lensa-Deadline": str(enough)}
    )
    response = GenerationResponse.model_validate_json(answer.content)
    assert answer.status_code == 200 and response.partial
    indices = [image.index for image in response.images]
    assert indices == list(range(len(indices))) and 1 <= len(indices) < 64
    assert not GenerationResponse.model_validate_json(
        client.post("/invocations", json=PICTURE, headers={"X-Lensa-Deadline": "50"}).content
    ).partial


def test_nothing_drawn_when_the_time_is_up_is_too_much(client: httpx.Client) -> None:
    body = {**LONG, "width": 256, "height": 256}  # most of a minute for one image
    answer = client.post("/invocations", json=body, headers={"X-Lensa-Deadline": "3"})
    assert answer.status_code == 413
    assert "fewer steps" in answer.json()["error"]["message"]


def test_a_turn_that_does_not_come_in_time_is_told_to_come_back(client: httpx.Client) -> None:
    with followed(client, LONG) as first:
        heard(first, "begun")
        answer = client.post("/invocations", json=PICTURE, headers={"X-Lensa-Deadline": "1"})
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert "turn" in answer.json()["error"]["message"]


@pytest.mark.parametrize("deadline", ["soon", "-1", "0", "nan", "inf"])
def test_a_deadline_is_in_seconds(client: httpx.Client, deadline: str) -> None:
    answer = client.post("/invocations", json=PICTURE, headers={"X-Lensa-Deadline": deadline})
    assert answer.status_code == 400 and "such as 20" in answer.text
