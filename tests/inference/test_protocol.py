"""The HTTP beneath the server: clocks for who is slow, an end to how many may come."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest
import uvicorn

from inference_entrypoint.protocol import UNHEARD, patient

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 50_000_000  # bytes; more than a kernel keeps for a client that does not read


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body; at /early without reading it, at /large at length."""
    body = b""
    while scope["path"] == "/":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    size = LARGE if scope["path"] == "/large" else len(str(len(body)))
    content = bytes(size) if scope["path"] == "/large" else str(len(body)).encode()
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def serving(**limits: Any) -> Iterator[tuple[int, uvicorn.Server]]:
    """Run a server with the protocol in a thread; yield its port."""
    config = uvicorn.Config(
        app,
        port=0,
        http=patient(**limits),
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1], server
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server for those who are answered, even where the machine stalls for a second."""
    with serving(seconds=1.5) as (port, _):
        yield port


@pytest.fixture(scope="module")
def hasty() -> Iterator[int]:
    """The port of a server for those who are to be cut off."""
    with serving(seconds=0.3) as (port, _):
        yield port


def until(done: Callable[[], Any], patience: float = 20) -> None:
    deadline = time.monotonic() + patience
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def connect(port: int, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(said)
    return connection


def heard(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def answered(connection: socket.socket) -> bytes:
    """Read one answer and no further."""
    with HTTPResponse(connection) as response:
        response.begin()
        assert response.status == 200
        return response.read()


def refused(answer: bytes, status: int) -> str:
    """Assert that an answer is an error of ours; return its message."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"x-request-id: " in head.lower() and b"connection: close" in head.lower()
    error = json.loads(body)["error"]
    assert error["type"]
    message: str = error["message"]
    return message


def test_a_client_that_says_nothing_is_let_go_without_a_word(hasty: int) -> None:
    with connect(hasty) as silent:
        assert heard(silent) == b""


def dribble(connection: socket.socket, seconds: float) -> None:
    """Send a byte now and then, as those do who want to hold a connection."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            connection.sendall(b"x")
            time.sleep(0.02)
    except ConnectionError:
        return


def test_a_head_that_does_not_end_is_answered_408_though_it_goes_on(hasty: int) -> None:
    with connect(hasty, b"GET / HTTP/1.1\r\nHost: x\r\nX: ") as slow:
        dribbler = threading.Thread(target=dribble, args=(slow, 5))
        dribbler.start()
        assert "the head of the request took more than 0.3 s" in refused(heard(slow), 408)
        dribbler.join()


def test_a_body_that_does_not_end_is_answered_408(hasty: int) -> None:
    with connect(hasty, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") as slow:
        dribbler = threading.Thread(target=dribble, args=(slow, 5))
        dribbler.start()
        assert "the body of the request took more than 0.9 s" in refused(heard(slow), 408)
        dribbler.join()


def test_who_was_answered_before_the_body_ended_does_not_hold_the_connection(hasty: int) -> None:
    with connect(hasty, b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") as slow:
        dribble(slow, 5)
        assert heard(slow).startswith(b"HTTP/1.1 200")


def test_who_was_answered_and_goes_on_for_ever_is_cut_off(port: int) -> None:
    length = 4 * UNHEARD
    ask = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
    with connect(port, ask) as endless, pytest.raises(ConnectionError):
        for _ in range(length // 1_000_000):
            endless.sendall(b"x" * 1_000_000)


def test_a_second_request_has_a_clock_too(port: int) -> None:
    with connect(port, GET) as slow:
        assert answered(slow)
        slow.sendall(b"GET / HT")
        assert "head" in refused(heard(slow), 408)


def test_between_requests_a_connection_may_rest_longer(port: int) -> None:
    with connect(port, GET) as resting:
        assert answered(resting)
        time.sleep(2)  # longer than the patience, a fraction of keep-alive's
        resting.sendall(GET)
        assert answered(resting)


def test_one_connection_too_many_gets_503_and_the_place_is_free_again() -> None:
    with serving(connections=4) as (port, server), ExitStack() as stack:
        first = [stack.enter_context(connect(port, GET)) for _ in range(4)]
        for connection in first:
            assert answered(connection)
        with connect(port) as fifth:
            answer = heard(fifth)
            assert "4 connections are open" in refused(answer, 503)
            assert b"Retry-After: 1" in answer
        first[0].close()
        until(lambda: len(server.server_state.connections) < 4)
        assert httpx.get(f"http://127.0.0.1:{port}").status_code == 200


def test_who_does_not_read_the_answer_is_let_go() -> None:
    ask = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(seconds=0.3) as (port, server), connect(port, ask):
        until(lambda: server.server_state.total_requests)
        until(lambda: not server.server_state.connections)


def test_who_reads_slowly_gets_it_all(port: int) -> None:
    ask = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with connect(port, ask) as slow, slow.makefile("rb") as answer:
        count = 0
        while part := answer.read(2_000_000):
            count += len(part)
            time.sleep(0.08)  # longer than the server's patience, all in all
        assert count > LARGE


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", "not both"),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", "HTTP/1.0 has no"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n", "longer than 16,384 bytes"),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 9_000, "longer than 16,384 bytes"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n", "longer than 16,384 bytes"),
        (b"GET / HTTP/2.0\r\n", "use HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nNo colon\r\n", "not HTTP"),
        (b"\x16\x03\x01\x02", "not HTTP"),
    ],
)
def test_an_unsound_head_is_answered_400_and_nothing_behind_it(
    port: int, request_: bytes, words: str
) -> None:
    rest = b"Host: x\r\n\r\n0\r\n\r\n" + GET
    with connect(port, request_ + rest) as connection:
        answer = heard(connection)
    assert words in refused(answer, 400)
    assert answer.count(b"HTTP/1.1 ") == 1
