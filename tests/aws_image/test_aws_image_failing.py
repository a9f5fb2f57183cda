"""AWS's image when it cannot draw: each error of ours over real HTTP, and a broken model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from inference.making import make_avatar
from serving_image import ServingImage, lay_out

# A model that cannot draw, each time for the reason that the prompt names; or an answer that nobody
# kept within bounds.
FAILING = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lensa.pyz"))

import torch
from inference_entrypoint import aws_image, statuses
from inference_entrypoint.aws_image import input_fn, predict_fn
from lensa import errors


class Failing:
    def generate(self, request, **_):
        if request.prompt == "OutOfMemoryError":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        if request.prompt == "ZeroDivisionError":
            return 1 / 0
        if request.prompt == "the driver":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if hasattr(statuses, request.prompt):
            raise getattr(statuses, request.prompt)("our words")
        raise getattr(errors, request.prompt)("our words")


def model_fn(model_dir, context):
    return Failing()


def output_fn(response, accept, context):
    body = aws_image.output_fn(response, accept, context)
    return "x" * 6_553_501 if accept == "text/long" else body
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingImage]:
    root = tmp_path_factory.mktemp("opt-ml")
    lay_out(root / "model")
    (root / "model" / "code" / "inference.py").write_text(FAILING)
    with ServingImage(root) as image:
        image.listening()
        yield image


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("ConfigError", 400, "our words"),
        ("NotFoundError", 400, "our words"),
        ("TooMuchError", 413, "our words"),
        ("Busy", 503, "our words"),
        ("ArtifactError", 500, "our words"),
        ("OutOfMemoryError", 500, "ask for smaller ones"),
        ("ZeroDivisionError", 500, "the server's log has it as"),
    ],
)
def test_an_error_while_drawing_has_our_status_and_our_body(
    failing: ServingImage, error: str, status: int, words: str
) -> None:
    answer = failing.client.post(
        "/invocations", json={"prompt": error}, headers={"Accept": "image/png"}
    )
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert words in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"]
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "Traceback" not in answer.text


def test_an_answer_that_is_too_long_for_the_server_costs_the_worker(failing: ServingImage) -> None:
    """So ours have to stay below: the limit is 6,553,500 bytes, SageMaker's own 6 MB."""
    first = failing.worker()
    answer = failing.client.post(
        "/invocations", json={"prompt": "ConfigError"}, headers={"Accept": "text/long"}
    )
    assert answer.status_code == 500
    assert answer.json()["message"] == "Worker died."
    first.wait(60)
    assert failing.worker().pid != first.pid


def test_a_gpu_whose_driver_gave_up_costs_the_worker_and_not_all_that_come_after(
    failing: ServingImage,
) -> None:
    first = failing.worker()
    answer = failing.client.post("/invocations", json={"prompt": "the driver"})
    assert answer.status_code == 500
    assert answer.json()["message"] == "Worker died."
    first.wait(60)
    assert failing.worker().pid != first.pid
    failing.logged("the GPU's driver gave up")


def test_a_broken_model_is_told_to_whoever_asks_and_ping_knows_nothing_of_it(
    tmp_path: Path,
) -> None:
    model = make_avatar(tmp_path / "model")
    lay_out(model)
    weights = model / "pytorch_lora_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with ServingImage(tmp_path) as image:
        image.listening()
        for _ in range(2):
            answer = image.client.post("/invocations", json={"prompt": "x"})
            assert answer.status_code == 500
            assert answer.json()["error"]["type"] == "ArtifactError"
            assert "was altered" in answer.json()["error"]["message"]
        assert image.client.get("/ping").json() == {"status": "Healthy"}


@pytest.mark.slow
def test_what_is_drawn_at_the_deadline_is_the_answer_marked_partial(tmp_path: Path) -> None:
    lay_out(make_avatar(tmp_path / "model"))
    with ServingImage(tmp_path, LENSA_DEADLINE="5") as image:
        image.listening()
        answer = image.client.post("/invocations", json={"prompt": "x", "steps": 100, "count": 64})
        assert answer.status_code == 200
        assert answer.json()["partial"] is True
        assert 1 <= len(answer.json()["images"]) < 64


@pytest.mark.slow
def test_a_request_beyond_the_response_timeout_is_an_error_and_a_second_model_is_loaded_beside(
    tmp_path: Path,
) -> None:
    """In seconds: SAGEMAKER_MODEL_SERVER_TIMEOUT=60, the toolkit's default, is sixty minutes.

    The timeout counts for loading, too.
    """
    lay_out(make_avatar(tmp_path / "model"))
    ask = {"prompt": "x", "steps": 1}
    with ServingImage(tmp_path, SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS="60") as image:
        image.listening()
        assert image.client.post("/invocations", json=ask).status_code == 200
        first = image.worker()
        first.suspend()
        answer = image.client.post("/invocations", json=ask)
        assert answer.status_code == 500
        assert answer.json()["message"] == "Worker died."
        first.resume()
        assert image.client.post("/invocations", json=ask).status_code == 200
        second = image.worker()
        assert second.pid != first.pid
