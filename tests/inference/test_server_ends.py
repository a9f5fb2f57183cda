"""How the server ends: when told, when its parent dies, when it cannot begin."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from making import make_avatar
from serving import LONG, PICTURE, Server, asked, drawn, ready, until, waiting

from lensa.contract import GenerationResponse


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    return root


@pytest.mark.parametrize("way", ["as an option", "as SageMaker does"])
def test_a_port_that_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        options = ["--port", port]
        if way == "as SageMaker does":
            monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", port)
            options = ["serve"]
        with Server(folder, *options) as server:
            event = server.event()
            code, log = server.finish()
    assert code == 2
    assert event["event"] == "failed" and f"port {port} is taken" in event["message"]
    assert log.strip() == event["message"]


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "end of the parent"])
def test_it_goes_when_told(folder: Path, way: str) -> None:
    with Server(folder, "--port", "0", "--parent-pipe") as server, server.client() as client:
        assert client.get("/ping").status_code == 503  # even while it loads
        if way == "end of the parent":
            assert server.process.stdin is not None
            server.process.stdin.close()
            server.process.stdin = None
        else:
            server.process.send_signal(getattr(signal, way))
        code, log = server.finish()
    assert code == 0
    assert "Traceback" not in log


def test_a_running_request_is_finished_first_and_prompts_are_not_logged(folder: Path) -> None:
    options = ("--port", "0", "--batch", "1", "--grace", "60")
    with Server(folder, *options) as server, server.client() as client:
        assert ready(client).status_code == 200
        with drawn(client, {"prompt": "a secret wish", "steps": 100, "count": 8}) as request:
            server.process.terminate()
            answer = request.getresponse()
            response = GenerationResponse.model_validate_json(answer.read())
            assert answer.status == 200
            assert len(response.images) == 8 and not response.partial
        code, log = server.finish()
    assert code == 0
    answered = [line for line in map(json.loads, log.splitlines()) if line["message"] == "answered"]
    (line,) = [line for line in answered if line["request"] == answer.headers["x-request-id"]]
    assert line["status"] == 200
    assert "secret" not in log


def test_a_request_that_takes_too_long_is_given_up_at_the_end(folder: Path) -> None:
    options = ("--port", "0", "--batch", "1", "--grace", "1")
    with Server(folder, *options) as server, server.client() as client:
        assert ready(client).status_code == 200
        with drawn(client, {**LONG, "width": 256, "height": 256}) as request:
            server.process.terminate()
            answer = request.getresponse()
            assert answer.status == 503
            assert b"shutting down" in answer.read()
        code, log = server.finish()
    assert code == 0
    assert "Traceback" not in log


def test_at_the_end_what_is_drawn_is_the_answer_and_who_waits_is_told_at_once(
    folder: Path,
) -> None:
    options = ("--port", "0", "--batch", "1", "--grace", "4")
    with Server(folder, *options) as server, server.client() as client:
        assert ready(client).status_code == 200
        with drawn(client, {"prompt": "x", "steps": 40, "count": 64}) as request:
            with asked(client, PICTURE) as late:
                until(lambda: waiting(client) == 1)
                server.process.terminate()
                refused = late.getresponse()
                assert refused.status == 503 and b"shutting down" in refused.read()
            answer = request.getresponse()
            assert answer.status == 200
            response = GenerationResponse.model_validate_json(answer.read())
            assert response.partial and 0 < len(response.images) < 64
        code, _ = server.finish()
    assert code == 0


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    folder = make_avatar(tmp_path / "elsewhere")
    weights = folder / "pytorch_lora_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with Server(tmp_path, "--port", "0", "--model-dir", str(folder)) as server:
        with server.client() as client:
            answer = ready(client)
            assert answer.status_code == 500
            message = answer.json()["error"]["message"]
            assert "was altered" in message
            assert answer.json()["error"]["type"] == "ArtifactError"
            assert client.post("/invocations", json=PICTURE).status_code == 500
        assert server.event() == {"event": "failed", "message": message}
        code, log = server.finish()
    assert code == 1
    assert log.strip().endswith(message)


def test_wrong_arguments() -> None:
    for arguments in (["--port", "70000"], ["--port", "x"], ["--nope"]):
        done = subprocess.run(
            [sys.executable, "-m", "inference_entrypoint.server", *arguments],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert arguments[0] in done.stderr
