"""How the server ends: when told, when its parent dies, when it cannot begin."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from making import make_avatar
from serving import PICTURE, Server, ready


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    return root


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with Server(folder, "--port", port) as server:
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
    with Server(folder, "--port", "0") as server, server.client() as client:
        assert ready(client).status_code == 200
        with ThreadPoolExecutor(1) as pool:
            request = {"prompt": "a secret wish", "steps": 100, "count": 8}
            answer = pool.submit(client.post, "/invocations", json=request)
            time.sleep(0.7)
            server.process.terminate()
            assert answer.result().status_code == 200
        code, log = server.finish()
    assert code == 0
    (line,) = [line for line in map(json.loads, log.splitlines()) if line["message"] == "answered"]
    assert line["status"] == 200 and line["request"] == answer.result().headers["x-request-id"]
    assert "secret" not in log


def test_a_request_that_takes_too_long_is_given_up_at_the_end(folder: Path) -> None:
    with Server(folder, "--port", "0", "--grace", "1") as server, server.client() as client:
        assert ready(client).status_code == 200
        with ThreadPoolExecutor(1) as pool:
            request = {"prompt": "x", "steps": 200, "count": 64}
            answer = pool.submit(client.post, "/invocations", json=request)
            time.sleep(0.7)
            server.process.terminate()
            assert answer.result().status_code == 503
            assert "shutting down" in answer.result().text
        code, log = server.finish()
    assert code == 0
    assert "Traceback" not in log


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
