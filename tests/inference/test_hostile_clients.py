"""What the internet sends to an open port: each is refused or let go, and a good client is served.

The clocks themselves are in test_protocol.py; here the whole server runs, with a model behind it.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import psutil
import pytest
from making import make_avatar
from serving import PICTURE, Server, ready

MEMORY = 60_000_000  # bytes; what the server may grow by, for a body of 100 MB
POST = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GOOD = json.dumps({**PICTURE, "steps": 1}).encode()
WHOLE = POST + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all attacks. At the end it must be the one it was, and have no complaints."""
    folder = tmp_path_factory.mktemp("container")
    make_avatar(folder / "model")
    with Server(folder, "--port", "0", "--patience", "1") as server:
        yield server
        server.process.terminate()
        code, log = server.finish()
    assert code == 0
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        assert ready(client).status_code == 200
        assert client.post("/invocations", content=GOOD).status_code == 200
        yield client


@pytest.fixture(autouse=True)
def unharmed(server: Server, client: httpx.Client) -> Iterator[None]:
    """After each attack the same processes run, are no larger, and draw."""
    before = processes(server)
    size = memory(server)
    yield
    assert client.post("/invocations", content=GOOD).status_code == 200
    assert processes(server) == before
    assert memory(server) - size < MEMORY


def processes(server: Server) -> set[int]:
    parent = psutil.Process(server.process.pid)
    return {parent.pid, *(child.pid for child in parent.children(recursive=True))}


def memory(server: Server) -> int:
    """Bytes that are resident in all of the server's processes."""
    return sum(psutil.Process(pid).memory_info().rss for pid in processes(server))


def connect(client: httpx.Client, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20)
    connection.sendall(said)
    return connection


def heard(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes, as it has to."""
    parts = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def said(client: httpx.Client, request: bytes) -> bytes:
    with connect(client) as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
        return heard(connection)


def statuses(answers: bytes) -> list[int]:
    """Return the status of each answer, once it is certain that none tells too much."""
    assert b"Traceback" not in answers and b'.py"' not in answers
    lines = [line for line in answers.split(b"\r\n") if b"HTTP/1.1 " in line]
    found = [int(line.partition(b"HTTP/1.1 ")[2][:3]) for line in lines]
    assert answers.lower().count(b"x-request-id: ") == len(found)
    return found


def is_refused(answers: bytes) -> None:
    """Assert a 4xx or no answer at all: the connection is closed either way."""
    assert all(400 <= status < 500 for status in statuses(answers)), answers[:300]


@contextmanager
def crowd(client: httpx.Client, count: int, beginning: bytes) -> Iterator[list[socket.socket]]:
    """Clients that begin to speak and then send a byte now and then."""
    done = threading.Event()

    def dribble() -> None:
        while not done.wait(0.1):
            for connection in connections:
                with suppress(OSError):
                    connection.send(b"x")

    with ExitStack() as stack:
        connections = [stack.enter_context(connect(client, beginning)) for _ in range(count)]
        dribbler = threading.Thread(target=dribble)
        dribbler.start()
        try:
            yield connections
        finally:
            done.set()
            dribbler.join()


@pytest.mark.parametrize(
    "beginning",
    [POST + b"X: ", POST + b"Content-Length: 5000\r\n\r\n{", POST, b""],
    ids=["in the head", "in the body", "between headers", "from the first byte"],
)
def test_fifty_that_speak_slowly_hold_nobody_up(client: httpx.Client, beginning: bytes) -> None:
    with crowd(client, 50, beginning) as connections:
        assert client.post("/invocations", content=GOOD).status_code == 200
        for connection in connections:
            is_refused(heard(connection))


def test_two_hundred_that_say_nothing_are_let_go(client: httpx.Client) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(client)) for _ in range(200)]
        assert client.post("/invocations", content=GOOD).status_code == 200
        assert {heard(connection) for connection in silent} == {b""}


@pytest.mark.parametrize("length", [b"Content-Length: 100000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", [b"/invocations", b"/nope"])
def test_a_hundred_megabytes_are_not_listened_to(
    client: httpx.Client, path: bytes, length: bytes
) -> None:
    part = b"x" * 1_000_000
    chunk = b"%x\r\n%s\r\n" % (len(part), part) if b"chunked" in length else part
    sent = 0
    beginning = POST.replace(b"/invocations", path) + length + b"\r\n\r\n"
    with connect(client, beginning) as connection:
        with suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(chunk)
                sent += 1
        answer = heard(connection)
    assert sent < 40  # of a hundred
    is_refused(answer)


def test_a_hundred_bodies_that_are_never_finished_leave_nothing_behind(
    client: httpx.Client,
) -> None:
    with ExitStack() as stack:
        beginning = POST + b"Content-Length: 8000000\r\n\r\n" + b"x" * 100_000
        connections = [stack.enter_context(connect(client, beginning)) for _ in range(100)]
        assert client.post("/invocations", content=GOOD).status_code == 200
        for connection in connections:
            is_refused(heard(connection))


@pytest.mark.parametrize(
    "request_",
    [
        PING.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n"),
        PING.replace(b"\r\n\r\n", b"\r\n" + b"X: x\r\n" * 100_000 + b"\r\n"),
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /ping HTTP/1.1\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n",
        b"GET /ping HTTP/3.7\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /p\x00ing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX : space\r\n\r\n",
        b"GET\t/ping\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://elsewhere/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /ping/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"TRACE /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
    ids=lambda request: ascii(request[:40]),
)
def test_what_is_not_a_sound_request_is_refused(client: httpx.Client, request_: bytes) -> None:
    is_refused(said(client, request_))


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 99999999999999999999999999999",
        b"Content-Length: 1e3",
        b"Content-Length: 0x10",
        b"Content-Length: ",
        b"Content-Length: 5, 6",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\x0bchunked",
    ],
)
def test_a_body_whose_length_is_in_doubt_hides_no_second_request(
    client: httpx.Client, length: bytes
) -> None:
    answers = said(client, POST + length + b"\r\n\r\n0\r\n\r\n" + PING)
    is_refused(answers)
    assert len(statuses(answers)) == 1


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloworld\r\n", b"5;" + b"x" * 20_000],
)
def test_chunks_that_are_nonsense(client: httpx.Client, chunks: bytes) -> None:
    is_refused(said(client, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))


def test_a_body_shorter_than_it_said_is_waited_for_and_then_refused(client: httpx.Client) -> None:
    answer = said(client, POST + b"Content-Length: 5000\r\n\r\n" + GOOD)
    assert statuses(answer) == [408]
    assert b"the body of the request took more than" in answer


def test_who_closes_his_half_in_the_middle_is_gone(client: httpx.Client) -> None:
    for request in (PING[:20], POST + b"Content-Length: 5000\r\n\r\n{", WHOLE[:-5]):
        with connect(client, request) as connection:
            connection.shutdown(socket.SHUT_WR)
            is_refused(heard(connection))


def test_who_resets_the_connection_while_it_draws_is_gone(client: httpx.Client) -> None:
    for _ in range(20):
        connection = connect(client, WHOLE)
        linger = struct.pack("ii", 1, 0)  # closing now sends a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()


def test_requests_one_behind_the_other_are_answered_in_order(client: httpx.Client) -> None:
    last = PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = said(client, PING + WHOLE + b"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n" + last)
    assert statuses(answers) == [200, 200, 404, 200]


def test_a_hundred_requests_in_one_breath_do_not_pile_up(client: httpx.Client) -> None:
    answers = said(client, WHOLE * 100 + PING[:-2] + b"Connection: close\r\n\r\n")
    assert set(statuses(answers)) <= {200, 503}


def test_http_1_0_is_answered_and_closed(client: httpx.Client) -> None:
    assert statuses(said(client, b"GET /ping HTTP/1.0\r\nHost: localhost\r\n\r\n")) == [200]
    assert statuses(said(client, WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"))) == [200]


def test_a_request_for_another_protocol_stays_http(client: httpx.Client) -> None:
    for protocol in (b"websocket", b"h2c"):
        upgrade = b"\r\nConnection: Upgrade, close\r\nUpgrade: " + protocol + b"\r\n\r\n"
        with connect(client, PING.replace(b"\r\n\r\n", upgrade)) as connection:
            assert statuses(heard(connection)) == [200]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity"])
def test_a_compressed_bomb_is_never_inflated(client: httpx.Client, coding: str) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    answer = client.post("/invocations", content=BOMB, headers=headers)
    assert answer.status_code == 415
    assert "not compressed" in answer.json()["error"]["message"]


def test_a_bomb_that_does_not_say_so_is_no_json(client: httpx.Client) -> None:
    assert client.post("/invocations", content=BOMB).status_code == 400


def test_a_picture_that_is_a_bomb_is_not_opened(client: httpx.Client) -> None:
    side = 40_000  # 1.6 billion pixels, in 200 kB
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8) * 1000
    pixels = b"".join(packer.compress(row) for _ in range(side // 1000)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    picture = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    ask = {"prompt": "x", "image": base64.b64encode(picture).decode()}
    answer = client.post("/invocations", json=ask)
    assert answer.status_code == 400
    assert "image" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
             "application/octet-stream", "application/json5", "nonsense", "", "a/b" * 6000]
)  # fmt: skip
def test_a_wrong_content_type_is_refused_by_name(client: httpx.Client, kind: str) -> None:
    answer = client.post("/invocations", content=GOOD, headers={"Content-Type": kind})
    assert answer.status_code == (400 if len(kind) > 1000 else 415)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("field", ["blend", "anything"])
def test_a_hundred_thousand_mistakes_are_answered_in_a_few_words(
    client: httpx.Client, field: str
) -> None:
    many = {str(number): 1 for number in range(100_000)}
    ask = {"prompt": "x", "blend": many} if field == "blend" else {"prompt": "x", **many}
    answer = client.post("/invocations", json=ask)
    assert answer.status_code == 400
    assert len(answer.content) < 10_000


def test_null_bytes_in_a_prompt_are_words_like_any_other(client: httpx.Client) -> None:
    answer = client.post("/invocations", json={**PICTURE, "prompt": "a\x00b", "steps": 1})
    assert answer.status_code == 200
    assert client.post("/invocations", content=b"\x00" + GOOD).status_code == 400


def test_a_good_client_is_served_through_it_all(client: httpx.Client) -> None:
    """Everything at once, for two seconds."""
    done = threading.Event()

    def storm(request: bytes) -> None:
        while not done.is_set():
            with suppress(OSError):
                is_refused(said(client, request))

    attacks = [
        b"\x00" * 1000,
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        POST + b"Content-Length: 100000000\r\n\r\n" + b"x" * 1_000_000,
        POST + b"Content-Encoding: gzip\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    ]
    with crowd(client, 50, POST + b"X: "):
        threads = [threading.Thread(target=storm, args=(attack,)) for attack in attacks]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 2
        answers = []
        while time.monotonic() < end or len(answers) < 3:
            answers.append(client.post("/invocations", content=GOOD).status_code)
        done.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {200}


BOMB = zlib.compress(bytes(50_000_000), 9)  # 49 kB
