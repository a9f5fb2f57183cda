"""The server as a real process, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from making import difference, make_avatar
from PIL import Image
from serving import LONG, PICTURE, Server, figure, followed, heard, ready, until, waiting

from inference_entrypoint.encode import read_parameters
from lensa.contract import GeneratedImage, GenerationResponse


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    return root


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """Of one healthy server for all tests here."""
    with Server(folder, "--port", "0", "--queue", "8") as server, server.client() as client:
        early = client.post("/invocations", json=PICTURE)
        assert early.status_code == 503 and "loading" in early.text
        assert ready(client).json() == {"status": "ready", "avatar": "lensa-7k2m0000-1f3a9c2e"}
        yield client


def test_json(client: httpx.Client) -> None:
    first = client.post("/invocations", json={**PICTURE, "count": 2})
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.headers["x-request-id"]
    response = GenerationResponse.model_validate_json(first.content)
    assert [image.index for image in response.images] == [0, 1]
    second = client.post("/invocations", json={**PICTURE, "count": 2})
    assert GenerationResponse.model_validate_json(second.content).images == response.images


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_an_image_by_accept(client: httpx.Client, format: str) -> None:
    answer = client.post("/invocations", json=PICTURE, headers={"Accept": f"image/{format}"})
    assert answer.headers["content-type"] == f"image/{format}"
    with Image.open(BytesIO(answer.content)) as image:
        assert image.format == format.upper()
        assert "Seed: 5" in (read_parameters(image) or "")


def test_expanded_prompts(client: httpx.Client) -> None:
    answer = client.post("/invocations", json={**PICTURE, "count": 2, "expand": True})
    prompts = [image["prompt"] for image in answer.json()["images"]]
    assert prompts[0] != prompts[1]
    assert all(prompt.startswith("a photo of ohwx person as a pirate") for prompt in prompts)


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", {}, 400, "Invalid JSON"),
        (b"{", {}, 400, "Invalid JSON"),
        (b"\xff\xfe", {}, 400, "Invalid JSON"),
        (b'{"prompt": "\\ud800"}', {}, 400, "Invalid JSON"),
        (b"[" * 100_000, {}, 400, "Invalid JSON"),
        (b"[]", {}, 400, "dictionary"),
        (b"{}", {}, 400, "prompt is missing"),
        ({"prompt": "x", "widht": 64}, {}, 400, "Did you mean 'width'"),
        ({"prompt": "x", "count": 0}, {}, 400, "count = 0"),
        ({"prompt": "x", "count": 10_000}, {}, 400, "count = 10000"),
        ({"prompt": "x", "width": 100_000}, {}, 400, "width = 100000"),
        ({"prompt": "x", "height": 33}, {}, 400, "multiple of 8"),
        ({"prompt": "x", "scheduler": "magic"}, {}, 400, "scheduler = 'magic'"),
        (b'{"prompt": "x", "guidance_scale": NaN}', {}, 400, "finite"),
        ({"prompt": "x" * 20_000}, {}, 400, "at most 10000 characters"),
        ({"prompt": "x", "count": 2}, {"Accept": "image/png"}, 400, "holds one image"),
        ({"prompt": "x"}, {"Accept": "text/html"}, 400, "cannot be answered"),
        (b"x" * 8_100_001, {}, 413, "longer than 8,100,000 bytes"),
        (b"a,b", {"Content-Type": "text/csv"}, 415, "application/json"),
        ({"prompt": "x"}, {"Content-Encoding": "gzip"}, 415, "not compressed"),
    ],
)
def test_bad_input(
    client: httpx.Client, body: Any, headers: dict[str, str], status: int, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    answer = client.post("/invocations", content=content, headers=headers)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert words in error["message"] and error["type"]
    assert "Traceback" not in answer.text
    assert client.get("/ping").status_code == 200


def test_a_long_body_without_a_length_is_refused(client: httpx.Client) -> None:
    answer = client.post("/invocations", content=(b"x" * 1_000_000 for _ in range(9)))
    assert answer.status_code == 413


def test_other_paths_and_methods_are_named(client: httpx.Client) -> None:
    for answer, status in [(client.get("/invocations"), 405), (client.get("/nope"), 404)]:
        assert answer.status_code == status
        assert "POST /invocations" in answer.json()["error"]["message"]


def test_an_image_alone_tells_its_seed_and_warnings_in_headers(client: httpx.Client) -> None:
    ask = {"prompt": "a castle", "seed": 5, "steps": 2}
    answer = client.post("/invocations", json=ask, headers={"Accept": "image/png"})
    assert answer.headers["x-lensa-seed"] == "5"
    assert "did not name the subject" in answer.headers["x-lensa-warnings"]
    assert "x-lensa-unsafe" not in answer.headers
    ask["prompt"] = "me in a castle"
    answer = client.post("/invocations", json=ask, headers={"Accept": "image/png"})
    assert "x-lensa-warnings" not in answer.headers


def test_requests_at_once_are_drawn_together_and_answered_as_if_alone(client: httpx.Client) -> None:
    def ask(seed: int) -> bytes:
        body = {**PICTURE, "steps": 30, "seed": seed}
        answer = client.post("/invocations", json=body, headers={"Accept": "image/png"})
        assert answer.status_code == 200
        return answer.content

    def batches() -> tuple[float, float]:
        """How many there were, and how many images in all of them."""
        return figure(client, "lensa_batch_images_count"), figure(client, "lensa_batch_images_sum")

    alone = [ask(seed) for seed in range(5)]
    with ThreadPoolExecutor(5) as pool:
        with followed(client, LONG) as large:  # shares no batch with them, and goes
            heard(large, "begun")
            count, images = batches()
            asked = [pool.submit(ask, seed) for seed in range(5)]
            until(lambda: waiting(client) == 5)
        together = [one.result() for one in asked]
    until(lambda: batches() == (count + 1, images + 5))  # an answer may come before the count
    for one, other in zip(alone, together, strict=True):
        with Image.open(BytesIO(one)) as image, Image.open(BytesIO(other)) as picture:
            assert difference(image, picture) <= 1


def events_of(client: httpx.Client, body: dict[str, Any]) -> list[tuple[str, Any]]:
    with followed(client, body) as events:
        return list(events)


def test_progress_comes_as_events_with_each_image_as_soon_as_it_is_there(
    client: httpx.Client,
) -> None:
    body = {**PICTURE, "steps": 20, "count": 12}
    events = events_of(client, body)
    names = [name for name, _ in events]
    assert names[0] == "begun" and names[-1] == "answer"
    assert names.index("image") < len(names) - 1 - names[::-1].index("step")  # not all at the end
    steps = [event["done"] for name, event in events if name == "step"]
    assert steps == sorted(set(steps)) and steps[-1] == 240
    assert {event["of"] for name, event in events if name == "step"} == {240}
    images = [GeneratedImage.model_validate(event) for name, event in events if name == "image"]
    answer = GenerationResponse.model_validate(events[-1][1])
    assert answer.images == tuple(images)
    assert answer.images[:8] == answered(client, {**body, "count": 8})


def answered(client: httpx.Client, body: dict[str, Any]) -> tuple[GeneratedImage, ...]:
    answer = client.post("/invocations", json=body)
    return GenerationResponse.model_validate_json(answer.content).images


def test_what_is_wrong_comes_as_a_status_or_once_it_has_begun_as_an_event(
    client: httpx.Client,
) -> None:
    headers = {"Accept": "text/event-stream"}
    assert client.post("/invocations", json={"prompt": 1}, headers=headers).status_code == 400
    unknown = {**PICTURE, "avatar": "lensa-7k2m0000-00000000"}
    *_, (name, event) = events_of(client, unknown)
    assert name == "error" and "7k2m0000-00000000" in event["error"]["message"]


def test_a_request_has_an_id_of_its_own_or_the_clients(client: httpx.Client) -> None:
    ids = {client.get("/ping").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    given = client.get("/ping", headers={"X-Request-Id": "their-own.1"})
    assert given.headers["x-request-id"] == "their-own.1"
    odd = client.get("/ping", headers={"X-Request-Id": "no good"})
    assert odd.headers["x-request-id"] != "no good"


def test_metrics_are_what_prometheus_reads(client: httpx.Client) -> None:
    before = figure(client, "lensa_images_total")
    client.post("/invocations", json={**PICTURE, "count": 3})
    client.post("/invocations", json={"prompt": 1})
    assert figure(client, "lensa_images_total") == before + 3
    assert figure(client, "lensa_requests_total", status="400") >= 1
    assert figure(client, "lensa_ready") == 1 and figure(client, "lensa_waiting") == 0


def test_another_name_than_ours_is_refused_on_loopback(client: httpx.Client) -> None:
    answer = client.get("/ping", headers={"Host": "attacker.example"})
    assert answer.status_code == 400 and "attacker.example" in answer.text
    assert client.get("/ping", headers={"Host": "localhost:1"}).status_code == 200


def test_a_page_of_another_site_cannot_make_it_draw(client: httpx.Client) -> None:
    """A browser sends such a page's request without asking, if it does not read the answer."""
    for origin in ("https://evil.example", "null", "http://[", "https://127.0.0.1.evil.example"):
        answer = client.post("/invocations", json=PICTURE, headers={"Origin": origin})
        assert answer.status_code == 403
    ours = {"Origin": "http://localhost:8888"}  # a notebook's
    assert client.post("/invocations", json=PICTURE, headers=ours).status_code == 200


def test_a_stream_is_counted_when_it_ends_and_as_what_it_was(client: httpx.Client) -> None:
    def counted() -> tuple[float, ...]:
        return tuple(figure(client, "lensa_requests_total", status=str(n)) for n in (200, 400))

    good, bad = counted()
    assert events_of(client, PICTURE)[-1][0] == "answer"
    unknown = {**PICTURE, "avatar": "lensa-7k2m0000-00000000"}
    assert events_of(client, unknown)[-1][0] == "error"
    until(lambda: counted() == (good + 1, bad + 1))  # the client hears of the end a moment before


def test_a_million_entries_are_refused_before_they_are_read(client: httpx.Client) -> None:
    body = b'{"prompt": [' + b"1," * 1_000_000 + b"1]}"
    answer = client.post("/invocations", content=body)
    assert answer.status_code == 400 and "entries" in answer.text
