"""A server process, how to wait for it, and clients that say when they have heard enough.

What a test wants to be so (a request is drawn, another one waits) it waits for: no machine is as
fast or as slow as a pause has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

PICTURE = {"prompt": "as a pirate", "seed": 5, "steps": 3}
# Minutes of drawing on the fastest machine; a step, after which who hung up is noticed, is short.
LONG = {"prompt": "x", "steps": 200, "count": 64, "width": 128, "height": 128}


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
        return httpx.Client(base_url=f"http://127.0.0.1:{event['port']}", timeout=120)

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


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for what has to come; how long that takes is the machine's business."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def figure(client: httpx.Client, name: str, **labels: str) -> float:
    """Return a number of /metrics; 0 if it was never counted."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = (
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )
    return next(found, 0.0)


def waiting(client: httpx.Client) -> int:
    return int(figure(client, "lensa_waiting"))


@contextmanager
def asked(
    client: httpx.Client, body: Any, accept: str = "application/json"
) -> Iterator[HTTPConnection]:
    """Send a request and wait for nothing: `getresponse()` does. Leaving the block hangs up."""
    url = client.base_url
    connection = HTTPConnection(url.host, url.port, timeout=120)
    headers = {"Content-Type": "application/json", "Accept": accept}
    try:
        connection.request("POST", "/invocations", json.dumps(body), headers)
        yield connection
    finally:
        connection.close()


@contextmanager
def followed(client: httpx.Client, body: Any) -> Iterator[Iterator[tuple[str, Any]]]:
    """Ask for events, (name, what it says), as they come. Leaving the block hangs up."""
    with asked(client, body, accept="text/event-stream") as connection:
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-request-id"]
        yield _events(answer)


def _events(lines: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def heard(events: Iterable[tuple[str, Any]], name: str) -> Any:
    """Wait for the next event of a name and return what it says."""
    return next(said for found, said in events if found == name)


@contextmanager
def drawn(client: httpx.Client, body: Any) -> Iterator[HTTPConnection]:
    """A request for JSON, of which nothing is heard until its end, and which is being drawn.

    It is certain where one request is drawn at a time: this one waits behind another, and when that
    one leaves it does not wait any more.
    """
    with ExitStack() as stack:
        with followed(client, LONG) as before:
            heard(before, "begun")
            connection = stack.enter_context(asked(client, body))
            until(lambda: waiting(client) == 1)
        until(lambda: waiting(client) == 0)
        yield connection
