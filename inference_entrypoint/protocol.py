"""HTTP for strangers: who does not finish speaking, or does not listen, is let go.

uvicorn waits for ever for the rest of a request's head, for its body, and for a client to read its
answer. Fifty clients that send a byte now and then would hold fifty connections (slow loris). Here
each has a clock, set once and not put forward by what arrives; what is wrong in HTTP itself is
answered as any other error of ours; and there is an end to how many connections are open.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from http import HTTPStatus
from typing import Any

import h11
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0  # seconds
BODY = 3  # times as long has a body: 8 MB at 2 Mbit a second
HEAD = 16_384  # bytes, as h11 has it
CONNECTIONS = 512  # a process may open 1,024 files
UNHEARD = 25_000_000  # bytes of a body that are dropped, when the answer did not wait for it
LEAST = 65_536  # bytes; what a client reads of its answer in `patience` seconds, or it is gone


def patient(seconds: float = PATIENCE, connections: int = CONNECTIONS) -> type[PatientProtocol]:
    """Return the protocol for `uvicorn.Config(http=...)`.

    `seconds`: for a request's head; its body has three times as many. `connections`: one more gets
    a 503 and is closed.
    """
    return type("Protocol", (PatientProtocol,), {"seconds": seconds, "most": connections})


class PatientProtocol(H11Protocol):
    """uvicorn's own, with clocks."""

    seconds = PATIENCE
    most = CONNECTIONS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app: ASGIApp = _sound_heads_only(self.app)
        self._awaited: type[h11.IDLE] | type[h11.SEND_BODY] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None
        self._unheard = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(503, "Busy", f"{self.most} connections are open already.")
        self._listen()

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            self._unheard += len(data)  # who writes on gets to read the answer, up to a point
            if self._unheard > UNHEARD:
                self.transport.close()
                return
        super().data_received(data)
        self._listen()

    def on_response_complete(self) -> None:
        self._unheard = 0
        super().on_response_complete()
        self._listen()
        if self.transport.is_closing():
            self._watch_reading()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        for clock in (self._clock, self._reader):
            if clock is not None:
                clock.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader is not None and not self.transport.is_closing():
            self._reader.cancel()  # what is written from now on is not what was watched

    def send_400_response(self, msg: str) -> None:
        words = f"this is not HTTP, or its head is longer than {HEAD:,} bytes."
        self._refuse(400, "BadRequest", words)

    def _listen(self) -> None:
        """Set the clock if the client begins to owe us something, stop it if it no longer does."""
        theirs = self.conn.their_state
        # Between two requests uvicorn's own clock runs, until the first byte of the second.
        idle = theirs is h11.IDLE and self.timeout_keep_alive_task is None
        awaited = theirs if idle or theirs is h11.SEND_BODY else None
        if awaited is self._awaited:
            return
        if self._clock is not None:
            self._clock.cancel()
        self._awaited = awaited
        if awaited is not None:
            seconds = self.seconds if idle else BODY * self.seconds
            self._clock = self.loop.call_later(seconds, self._give_up, idle, seconds)

    def _give_up(self, idle: bool, seconds: float) -> None:
        if idle and not self.conn.trailing_data[0]:
            self.transport.close()  # it said nothing: there is nothing to answer
            return
        part = "head" if idle else "body"
        self._refuse(408, "Timeout", f"the {part} of the request took more than {seconds:g} s.")

    def _watch_reading(self) -> None:
        """Abort if too little of an answer is read in time: it lies in our memory until then."""
        before = self.transport.get_write_buffer_size()

        def look() -> None:
            left = self.transport.get_write_buffer_size()
            if left > max(0, before - LEAST):
                self.transport.abort()
            elif left:
                self._watch_reading()

        if self._reader is not None:
            self._reader.cancel()
        self._reader = self.loop.call_later(self.seconds, look)

    def _refuse(self, status: int, kind: str, message: str) -> None:
        """Answer, if an answer has not begun, and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            content, headers = _refusal(status, kind, message)
            body = json.dumps(content, separators=(",", ":")).encode()
            fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            head = h11.Response(
                status_code=status,
                headers=[*{**fields, **headers}.items()],
                reason=HTTPStatus(status).phrase,
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:
            self.cycle.disconnected = True  # whatever the app would say now, it is too late
        self.transport.close()
        self._watch_reading()


def _sound_heads_only(app: ASGIApp) -> ASGIApp:
    """Wrap an application so that it never sees a head that h11 takes and we do not."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        words = _unsound(scope)
        if words is None:
            await app(scope, receive, send)
            return
        content, headers = _refusal(400, "BadRequest", words)
        await JSONResponse(content, 400, headers=headers)(scope, receive, send)

    return wrapped


def _unsound(scope: Scope) -> str | None:
    """Return what is wrong with a request's head.

    A request with two lengths is an attack: a proxy before us may go by the other one, and takes
    the end of this request for the beginning of the next (RFC 9112, 6.1). h11 counts a head only
    while it is incomplete; one that comes all at once is counted here.
    """
    headers = scope.get("headers", ())
    names = {name for name, _ in headers}
    if scope["http_version"] not in ("1.0", "1.1"):
        return f"HTTP {scope['http_version']} is not spoken here: use HTTP/1.1."
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            return "give Content-Length or Transfer-Encoding, not both."
        if scope["http_version"] < "1.1":
            return "HTTP/1.0 has no Transfer-Encoding."
    if len(scope["raw_path"]) + sum(len(name) + len(value) for name, value in headers) > HEAD:
        return f"the head of the request is longer than {HEAD:,} bytes."
    return None


def _refusal(status: int, kind: str, message: str) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {"Connection": "close", "X-Request-Id": uuid.uuid4().hex[:12]}
    if status == 503:
        headers["Retry-After"] = "1"
    return {"error": {"type": kind, "message": message}}, headers
