"""The server as a real process, over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from making import make_avatar
from PIL import Image
from serving import PICTURE, Server, ready

from inference_entrypoint.encode import read_parameters
from lensa.contract import GenerationResponse


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    return root


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """Of one healthy server for all tests here."""
    with Server(folder, "--port", "0", "--queue", "4") as server, server.client() as client:
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


def test_requests_at_once_are_answered_one_after_the_other(client: httpx.Client) -> None:
    def ask(seed: int) -> bytes:
        answer = client.post(
            "/invocations", json={**PICTURE, "seed": seed}, headers={"Accept": "image/png"}
        )
        assert answer.status_code == 200
        return answer.content

    alone = [ask(seed) for seed in range(5)]
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(ask, range(5))) == alone


def test_a_full_queue_answers_503_and_a_client_that_hangs_up_frees_its_place(
    client: httpx.Client,
) -> None:
    slow = {"prompt": "x", "steps": 200, "count": 64}  # half a minute

    def post(body: Any, patience: float) -> httpx.Response | None:
        """Return the answer, or None after hanging up."""
        with suppress(httpx.ReadTimeout):
            timeout = httpx.Timeout(60, read=patience)
            return client.post("/invocations", json=body, timeout=timeout)
        return None

    def impatient(_: int) -> None:
        while post(slow, patience=5) is not None:
            time.sleep(0.05)  # 503: one of ours, below, was there first

    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(impatient, number) for number in range(5)]
        deadline = time.monotonic() + 4
        while (
            answer := post(PICTURE, patience=0.5)
        ) is None or answer.status_code == 200:  # not all are there yet
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "4 requests are waiting" in answer.text
        for one in waiting:
            one.result()
    deadline = time.monotonic() + 10
    while client.post("/invocations", json=PICTURE).status_code == 503:
        assert time.monotonic() < deadline
