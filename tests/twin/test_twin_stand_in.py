"""What stands in for AWS's image, held against the real server and toolkit: the same answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aws_image.serving_image import ServingImage
from twinendpoints import HANDLERS, until

from lensa.testing import hugging_face_image

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is /opt/ml in both."""
    root = tmp_path_factory.mktemp("opt-ml")
    (root / "model" / "code").mkdir(parents=True)
    (root / "model" / "said.txt").write_text("hello")
    handlers = HANDLERS.replace('"environment": dict(os.environ),', "")
    handlers = handlers.replace('"headers": context.get_all_request_header(0),', "")
    (root / "model" / "code" / "inference.py").write_text(handlers)
    return root


@pytest.fixture(scope="module")
def real(root: Path) -> Iterator[str]:
    with ServingImage(root) as image:
        image.listening()
        yield f"http://127.0.0.1:{image.port}"


@pytest.fixture(scope="module")
def ours(root: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"SAGEMAKER_BASE_DIR": str(root), "SAGEMAKER_BIND_TO_PORT": str(port)}
    command = [sys.executable, "-P", hugging_face_image.__file__]
    server = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: _listens(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/ping", b"", {}),
        ("POST", "/invocations", b"{}", JSON),
        ("POST", "/invocations", b"{}", {**JSON, "Accept": "image/png"}),
        ("POST", "/invocations", b"{}", {}),
        ("POST", "/invocations", b'{"status": 503}', JSON),
        ("POST", "/invocations", b'{"status": 413}', JSON),
        ("POST", "/invocations", b'{"raise": "no such prompt"}', JSON),
        ("POST", "/invocations", b"{", JSON),
        ("POST", "/invocations", b"\xff\xfe", JSON),
        ("POST", "/invocations", b'{"long": 100}', {**JSON, "Accept": "text/plain"}),
        ("POST", "/invocations", b'{"long": 6553501}', JSON),
        ("POST", "/invocations", b"x" * 6_553_501, JSON),
        ("GET", "/metrics", b"", {}),
    ],
)
def test_the_same_answer(
    real: str, ours: str, method: str, path: str, body: bytes, headers: dict[str, str]
) -> None:
    def ask(url: str) -> dict[str, Any]:
        answer = httpx.request(method, url + path, content=body, headers=headers, timeout=60)
        told = answer.text
        if answer.headers.get("content-type", "").startswith("application/json"):
            told = answer.json()
        return {
            "status": answer.status_code,
            "type": answer.headers.get("content-type"),
            "body": told,
            "identity": "x-request-id" in answer.headers,
        }

    assert ask(ours) == ask(real)
