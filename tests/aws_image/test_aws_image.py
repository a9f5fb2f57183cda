"""Our handlers inside AWS's inference toolkit, behind multi-model-server, over real HTTP.

One server, and the tests in the order in which it survives them. What it can be made to promise,
and what it cannot, is in docs/serving.md.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from inference.making import make_avatar
from PIL import Image
from serving_image import ServingImage, lay_out

from inference_entrypoint.avatars import load_avatar
from inference_entrypoint.encode import read_parameters
from lensa.contract import GenerationRequest, GenerationResponse

PICTURE = {"prompt": "as a pirate", "seed": 5, "steps": 3}
QUEUE = 2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is /opt/ml there."""
    root = tmp_path_factory.mktemp("opt-ml")
    lay_out(make_avatar(root / "model"))
    return root


@pytest.fixture(scope="module")
def image(root: Path) -> Iterator[ServingImage]:
    with ServingImage(root, MMS_JOB_QUEUE_SIZE=str(QUEUE)) as image:
        before = tree(root)
        yield image
        assert tree(root) == before  # by any of these tests


def tree(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def ask(image: ServingImage, patience: float = 90, **fields: Any) -> httpx.Response:
    """On a connection of its own: the server closes one that it answered with an error."""
    url = f"http://127.0.0.1:{image.port}/invocations"
    return httpx.post(url, json={**PICTURE, **fields}, timeout=httpx.Timeout(30, read=patience))


@pytest.fixture
def frozen(image: ServingImage) -> Iterator[psutil.Process]:
    """The worker, stopped: a request that takes as long as a test likes, and no time of a CPU."""
    image.logged(f"request {ask(image).headers['x-request-id']}")  # and everything before it
    worker = image.worker()
    worker.suspend()
    yield worker
    if worker.is_running():
        worker.resume()


def in_flight(image: ServingImage, pool: ThreadPoolExecutor, **fields: Any) -> Future[Any]:
    """Ask, and give the request the time to reach the worker, or its place in the queue."""
    future = pool.submit(ask, image, **fields)
    time.sleep(0.5)
    return future


def test_ping_is_healthy_as_soon_as_the_port_is_open_loaded_or_not(image: ServingImage) -> None:
    ping = image.listening()
    image.worker().suspend()  # the load has no end until we say so
    assert ping.status_code == image.client.get("/ping").status_code == 200
    assert image.client.get("/ping").json() == {"status": "Healthy"}
    assert "Backend response time" not in image.log()  # nothing has answered it: not even a load
    image.worker().resume()
    assert ask(image).status_code == 200  # a request waits for the load


def test_json_and_the_same_images_as_without_a_server(image: ServingImage, root: Path) -> None:
    answer = ask(image, count=2)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    response = GenerationResponse.model_validate_json(answer.content)
    request = GenerationRequest.model_validate({**PICTURE, "count": 2})
    expected = load_avatar(root / "model").generate(request).images
    for made, original in zip(response.images, expected, strict=True):
        with Image.open(BytesIO(made.content())) as picture:
            assert picture.tobytes() == original.tobytes()


@pytest.mark.parametrize("accept", ["image/png", "image/jpeg;q=0.9", "image/webp, */*"])
def test_an_image_by_accept_and_its_type_is_its_own_and_not_all_that_was_accepted(
    image: ServingImage, accept: str
) -> None:
    answer = image.client.post("/invocations", json=PICTURE, headers={"Accept": accept})
    assert answer.headers["content-type"] in ("image/png", "image/jpeg", "image/webp")
    with Image.open(BytesIO(answer.content)) as picture:
        assert f"image/{(picture.format or '').lower()}" == answer.headers["content-type"]
        assert "Seed: 5" in (read_parameters(picture) or "")


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "application/json"}])
def test_json_is_what_comes_of_no_type_at_all(image: ServingImage, headers: dict[str, str]) -> None:
    answer = image.client.post("/invocations", content=json.dumps(PICTURE), headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"


JSON_TYPE = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", {}, 400, "Invalid JSON"),
        (b"{", {}, 400, "Invalid JSON"),
        (b"[]", {}, 400, "dictionary"),
        (b"{}", {}, 400, "prompt is missing"),
        ({"prompt": "x", "widht": 64}, {}, 400, "Did you mean 'width'"),
        ({"prompt": "x", "count": 10_000}, {}, 400, "count = 10000"),
        ({"prompt": "x", "avatar": "lensa-of-no-one"}, {}, 400, "avatar"),
        ({"prompt": "x"}, {"Accept": "text/html"}, 400, "cannot be answered"),
        ({"prompt": "x", "count": 2}, {"Accept": "image/png"}, 400, "holds one image"),
        ({"prompt": "x", "width": 3}, {"Accept": "image/png"}, 400, "width = 3"),
        (b"x" * 6_500_000, {}, 400, "Invalid JSON"),
        (b"a,b", {"Content-Type": "text/csv"}, 415, "application/json"),
        (b"prompt=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application"),
        ({"prompt": "x"}, {"Content-Encoding": "gzip"}, 415, "not compressed"),
    ],
)
def test_bad_input_has_our_status_and_our_body(
    image: ServingImage, body: Any, headers: dict[str, str], status: int, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = image.client.post("/invocations", content=content, headers={**JSON_TYPE, **headers})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"  # whatever was accepted
    error = answer.json()["error"]
    assert words in error["message"] and error["type"]
    assert "Traceback" not in answer.text


def test_bytes_that_are_no_text_are_refused_by_the_toolkit_before_we_see_them(
    image: ServingImage,
) -> None:
    answer = image.client.post("/invocations", content=b"\xff\xfe", headers=JSON_TYPE)
    assert answer.status_code == 400
    assert answer.json()["type"] == "InternalServerException"  # its form, and its idea of a 400
    assert "codec can't decode byte" in answer.json()["message"]


@pytest.mark.parametrize("length", [7_000_000, 100_000_000])
def test_a_long_body_is_refused_without_a_word(image: ServingImage, length: int) -> None:
    """By the server, at 6,553,500 bytes, by the length that is announced."""
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", image.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"x" * 1000)
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413 Request Entity Too Large")
    assert answer.endswith(b"content-length: 0\r\n\r\n")
    assert ask(image).status_code == 200


def test_slow_clients_cost_the_others_nothing(image: ServingImage) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", image.port)) for _ in range(50)]
    for number, connection in enumerate(slow):
        connection.sendall(head[: 5 + number * 2])  # some within the head, some within the body
    assert ask(image).status_code == 200
    for connection in slow:
        connection.close()


def test_there_are_no_metrics_no_events_and_no_schema_of_ours(image: ServingImage) -> None:
    for path in ("/metrics", "/openapi.json", "/events"):
        answer = image.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "ResourceNotFoundException"
    described = image.client.options("/invocations")  # what it has instead knows no field
    assert "negative_prompt" not in described.text and "openapi" in described.text


def test_it_runs_on_a_model_folder_that_is_read_only(image: ServingImage, root: Path) -> None:
    assert ask(image).status_code == 200
    code = sorted(path.name for path in (root / "model" / "code").iterdir())
    assert code == ["inference.py", "lensa.pyz"]  # nothing unpacked, nothing compiled
    if image.read_only:
        mounts = Path(f"/proc/{image.worker().pid}/mounts").read_text()
        (ours,) = [line for line in mounts.splitlines() if line.split()[1] == str(root / "model")]
        assert ours.split()[3].startswith("ro,")


def test_one_request_is_drawn_at_a_time_and_none_together(image: ServingImage) -> None:
    model = image.client.get("/models/model").json()
    assert (model["batchSize"], model["maxWorkers"]) == (1, 1)


def test_an_answer_has_an_identity_that_is_in_the_log_and_prompts_are_not(
    image: ServingImage,
) -> None:
    fine = ask(image, prompt="a secret wish")
    bad = ask(image, prompt="a secret wish", count=0)
    for answer in (fine, bad):
        image.logged(f"request {answer.headers['x-request-id']}: {answer.status_code}")
    assert "secret" not in image.log()


def test_requests_wait_in_order_and_beyond_the_queue_it_is_a_503_that_says_not_when(
    image: ServingImage, frozen: psutil.Process
) -> None:
    with ThreadPoolExecutor(8) as pool:
        waiting = [in_flight(image, pool, seed=seed) for seed in range(1 + QUEUE)]
        refused = ask(image)
        assert refused.status_code == 503
        assert refused.json()["type"] == "ServiceUnavailableException"
        assert "retry-after" not in refused.headers
        assert not any(future.done() for future in waiting)
        frozen.resume()
        assert list(as_completed(waiting)) == waiting
        for seed, future in enumerate(waiting):
            assert future.result().json()["images"][0]["seed"] == seed


def test_a_client_that_hangs_up_keeps_its_place_and_is_drawn_for(
    image: ServingImage, frozen: psutil.Process
) -> None:
    before = len(image.log())
    with ThreadPoolExecutor(8) as pool:
        gone = [pool.submit(ask, image, patience=0.5) for _ in range(1 + QUEUE)]
        for future in gone:
            with pytest.raises(httpx.ReadTimeout):
                future.result()
    assert ask(image).status_code == 503
    frozen.resume()
    while (answer := ask(image)).status_code == 503:
        time.sleep(0.05)
    assert answer.status_code == 200
    image.logged(f"request {answer.headers['x-request-id']}")
    drawn = image.log()[before:].count(": 200\n")
    assert drawn == 1 + QUEUE + 1


def test_a_worker_that_is_killed_costs_its_request_and_the_next_ones_are_served(
    image: ServingImage, frozen: psutil.Process
) -> None:
    with ThreadPoolExecutor(2) as pool:
        drawing = in_flight(image, pool)
        waiting = in_flight(image, pool, seed=6)
        frozen.kill()
        statuses = set()
        while not waiting.done():  # for a second without a worker, then while it loads again
            answer = image.client.get("/ping")
            assert answer.status_code == 200  # which is all that SageMaker looks at
            statuses.add(answer.json()["status"])
            time.sleep(0.02)
        assert "Unhealthy" in statuses
        assert drawing.result().status_code == 500
        assert drawing.result().json()["message"] == "Worker died."
        assert waiting.result().status_code == 200
        assert waiting.result().json()["images"][0]["seed"] == 6
    assert image.worker().pid != frozen.pid


def test_a_request_that_runs_when_the_server_is_told_to_go_is_lost(
    image: ServingImage, frozen: psutil.Process
) -> None:
    """The toolkit hands SIGTERM on to the server as it is."""
    with ThreadPoolExecutor(1) as pool:
        drawing = in_flight(image, pool)
        image.java().terminate()
        with pytest.raises(httpx.TransportError):
            drawing.result()
    image.process.wait(30)
