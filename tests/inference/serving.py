"""A server process, and how to wait for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

PICTURE = {"prompt": "as a pirate", "seed": 5, "steps": 3}


class Server:
    """A server process, and a client for it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        command = [sys.executable, "-m", "inference_entrypoint.server", *options]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,  # a pipe would be full some day, and the server wait for a reader
            text=True,
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(folder), "OMP_NUM_THREADS": "1"},
        )

    def event(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        event: dict[str, Any] = json.loads(self.process.stdout.readline())
        return event

    def client(self) -> httpx.Client:
        event = self.event()
        assert event["event"] == "listening"
        return httpx.Client(base_url=f"http://127.0.0.1:{event['port']}", timeout=60)

    def finish(self) -> tuple[int, str]:
        """Wait for its end and return (exit code, stderr)."""
        self.process.communicate(timeout=30)
        self._log.seek(0)
        return self.process.returncode, self._log.read()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self._log.close()


def ready(client: httpx.Client) -> httpx.Response:
    """Ask /ping until it does not say that it is loading."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        response = client.get("/ping")
        if response.status_code != 503:
            return response
        assert response.headers["retry-after"]
        time.sleep(0.05)
    raise AssertionError("it never became healthy")
