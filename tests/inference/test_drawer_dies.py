"""The process that draws is killed: whoever it drew for is told, whoever waited is served."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from making import make_avatar
from serving import PICTURE, Server, ready

LONG = {"prompt": "x", "steps": 200, "count": 64}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    with Server(root, "--port", "0", "--batch", "1") as server:
        yield server


def drawer(server: Server) -> psutil.Process:
    (child,) = psutil.Process(server.process.pid).children()
    return child


def test_kill_9_costs_what_was_drawn_and_nothing_else(server: Server) -> None:
    with server.client() as client, ThreadPoolExecutor(2) as pool:
        assert ready(client).status_code == 200
        first = drawer(server)
        drawn = pool.submit(client.post, "/invocations", json=LONG)
        time.sleep(0.7)
        waiting = pool.submit(client.post, "/invocations", json=PICTURE)
        time.sleep(0.3)
        os.kill(first.pid, signal.SIGKILL)
        answer = drawn.result()
        assert answer.status_code == 500
        assert "died in the middle" in answer.json()["error"]["message"]
        early = client.get("/ping")
        assert early.status_code == 503 and early.json() == {"status": "loading"}
        assert waiting.result().status_code == 200
        assert client.get("/ping").status_code == 200
        assert drawer(server).pid != first.pid
        assert "lensa_drawer_restarts_total 1.0" in client.get("/metrics").text
        server.process.kill()  # however the server goes, the one that draws goes with it
        last = psutil.Process(drawer(server).pid) if server.process.poll() is None else None
        server.process.wait()
        if last is not None:
            last.wait(10)
