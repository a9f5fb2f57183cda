"""The process that draws is killed: whoever it drew for is told, whoever waited is served."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from making import make_avatar
from serving import (
    LONG,
    PICTURE,
    Server,
    drawn,
    figure,
    followed,
    heard,
    ready,
    until,
    waiting,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("container")
    make_avatar(root / "model")
    return root


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[Server, httpx.Client]]:
    with Server(folder, "--port", "0", *options) as server, server.client() as client:
        assert ready(client).status_code == 200
        yield server, client


def drawer(server: Server) -> psutil.Process:
    (child,) = psutil.Process(server.process.pid).children()
    return child


def test_kill_9_costs_what_was_drawn_and_nothing_else(folder: Path) -> None:
    with serving(folder, "--batch", "1") as (server, client), ThreadPoolExecutor(1) as pool:
        first = drawer(server)
        with drawn(client, LONG) as request:
            queued = pool.submit(client.post, "/invocations", json=PICTURE)
            until(lambda: waiting(client) == 1)
            os.kill(first.pid, signal.SIGKILL)
            answer = request.getresponse()
            assert answer.status == 500
            assert b"died in the middle" in answer.read()
        early = client.get("/ping")
        assert early.status_code == 503 and early.json() == {"status": "loading"}
        assert queued.result().status_code == 200
        assert client.get("/ping").status_code == 200
        assert figure(client, "lensa_drawer_restarts_total") == 1
        last = drawer(server)
        assert last.pid != first.pid
        server.process.kill()  # however the server goes, the one that draws goes with it
        last.wait(10)


def test_who_was_taken_in_but_not_drawn_is_served_by_the_next_process(folder: Path) -> None:
    """Where two may share a batch, the second is taken in; of another size, it shares none."""
    with serving(folder, "--batch", "2") as (server, client), ThreadPoolExecutor(1) as pool:
        body = {"prompt": "x", "steps": 50, "count": 64, "width": 64, "height": 64}
        with followed(client, body) as events:
            heard(events, "step")
            queued = pool.submit(client.post, "/invocations", json=PICTURE)
            until(lambda: waiting(client) == 1)
            batches = figure(client, "lensa_batch_images_count")
            until(lambda: figure(client, "lensa_batch_images_count") >= batches + 2)
            drawer(server).kill()
            assert "died in the middle" in heard(events, "error")["error"]["message"]
        assert queued.result().status_code == 200
