"""The HTTP face of an avatar: `/ping` and `/invocations`, as SageMaker asks for them, and for who
runs it `/metrics` and `/openapi.json`.

There is no ML stack in this process: it refuses what is wrong, keeps the queue, and hands the rest
to the process that draws.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inference_entrypoint.channel import Answered, Begun, Drawn, Refused, Step
from inference_entrypoint.engine import Engine, QueueFull, Ticket
from inference_entrypoint.engine import Event as EngineEvent
from inference_entrypoint.events import EventStream, error_event
from inference_entrypoint.media import JSON, media_type, negotiate, wants_events
from inference_entrypoint.metrics import Metrics
from inference_entrypoint.openapi import openapi
from inference_entrypoint.refusals import refusal
from inference_entrypoint.statuses import status_of
from lensa.contract import GenerationRequest
from lensa.contract.generation import MAX_IMAGE
from lensa.errors import LensaError

MAX_BODY = MAX_IMAGE + 100_000  # bytes; a request is a picture, a prompt and a few numbers
_PATIENCE = 3  # times as much is still read, to be polite
_DEADLINE = "x-lensa-deadline"  # of a request: seconds, if it has fewer than the server gives it
_IDENTITY = re.compile(r"[\w.:=-]{1,64}", re.ASCII)
_PATHS = "There are GET /ping, /metrics and /openapi.json, and POST /invocations."

log = logging.getLogger("lensa.server")

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Terms:
    """On what terms requests are answered."""

    deadline: float | None = None  # seconds from a request's arrival to its answer
    token: str | None = None  # whoever asks for images or figures has to know it
    hosts: Collection[str] | None = None  # names that this server goes by; None: any


def make_app(engine: Engine, metrics: Metrics, terms: Terms) -> Starlette:
    """Return the ASGI application of an engine."""

    async def ping(request: Request) -> Response:
        if engine.state == "failed":
            return refusal(500, engine.failure[1], engine.failure[0])
        if engine.state == "loading":
            return JSONResponse({"status": "loading"}, 503, headers={"Retry-After": "1"})
        return JSONResponse({"status": "ready", "avatar": engine.name})

    async def invocations(request: Request) -> Response:
        _check_token(request, terms)
        return await _invoke(engine, request, terms)

    async def figures(request: Request) -> Response:
        _check_token(request, terms)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    async def schema(request: Request) -> Response:
        return JSONResponse(openapi())

    async def other(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)

        async def refuse(request: Request) -> Response:
            raise HTTPException(
                error.status_code,
                f"{request.method} {request.url.path}: {error.detail}. {_PATHS}",
                dict(error.headers or {}),
            )

        return await _told(refuse, metrics, terms)(request)

    def route(path: str, handler: Handler, method: str) -> Route:
        return Route(path, _told(handler, metrics, terms), methods=[method])

    app = Starlette(
        routes=[
            route("/ping", ping, "GET"),
            route("/invocations", invocations, "POST"),
            route("/metrics", figures, "GET"),
            route("/openapi.json", schema, "GET"),
        ],
        exception_handlers={HTTPException: other},
    )
    app.router.redirect_slashes = False  # to wherever the client's Host says
    return app


def _told(handler: Handler, metrics: Metrics, terms: Terms) -> Handler:
    """Give a handler's answers an id and its exceptions a form, and count and log both."""

    async def told(request: Request) -> Response:
        given = request.headers.get("x-request-id", "")
        identity = given if _IDENTITY.fullmatch(given) else uuid.uuid4().hex[:12]
        request.state.identity = identity
        start = time.monotonic()
        try:
            _check_host(request, terms)
            response = await handler(request)
        except ClientDisconnect:
            response = Response(status_code=499)
        except HTTPException as error:
            kind = error.kind if isinstance(error, _Refusal) else None
            response = refusal(
                error.status_code, error.detail, kind, headers=dict(error.headers or {})
            )
        except LensaError as error:
            response = refusal(status_of(error), str(error), type(error).__name__)
        except Exception as error:
            log.exception("a request failed", extra={"request": identity})
            words = f"something went wrong that should not; the server's log has it as {identity}."
            response = refusal(500, words, type(error).__name__)
        response.headers["X-Request-Id"] = identity
        if request.url.path == "/invocations":
            seconds, status = time.monotonic() - start, response.status_code
            metrics.requests.labels(str(status)).inc()
            metrics.seconds.observe(seconds)
            log.info(
                "answered",
                extra={"request": identity, "status": status, "seconds": round(seconds, 3)},
            )
        return response

    return told


async def _invoke(engine: Engine, request: Request, terms: Terms) -> Response:
    arrived = time.monotonic()
    body = await _body(request)
    if engine.state == "failed":
        return refusal(500, engine.failure[1], engine.failure[0])
    content_type = request.headers.get("content-type", JSON)
    if media_type(content_type) != JSON or "content-encoding" in request.headers:
        raise HTTPException(415, f"send {JSON}, not compressed.")
    accept = request.headers.get("accept", JSON)
    # Strict: `true` is not the seed 1, nor "yes" a truth; the schema says so, too.
    message = GenerationRequest.model_validate_json(body, strict=True)
    events = wants_events(accept)
    format = None if events else negotiate(message, accept)  # refused before anything is drawn
    if format is not None:
        message = message.model_copy(update={"format": format})
    if engine.state == "loading":
        raise HTTPException(503, "the model is still loading.", {"Retry-After": "1"})
    identity: str = request.state.identity
    log.debug("asked", extra={"request": identity, "prompt": message.prompt})
    seconds = _seconds(request, terms)
    try:
        ticket = engine.submit(
            message.model_dump_json(),
            JSON if events else accept,
            seconds=None if seconds is None else seconds - (time.monotonic() - arrived),
            events=events,
        )
    except QueueFull as full:
        raise HTTPException(503, str(full), {"Retry-After": str(full.retry_after)}) from None
    if events:
        return EventStream(_events(ticket), {})
    answer = await _answer(ticket, request)
    if format is None:
        return Response(answer.body, media_type=JSON)
    return Response(answer.body, media_type=f"image/{format}", headers=answer.headers)


async def _answer(ticket: Ticket, request: Request) -> Answered:
    """Wait for the answer. Raises HTTPException, ClientDisconnect if nobody else does."""
    gone = asyncio.ensure_future(request.receive())  # the body is read: what comes is the end
    try:
        while True:
            upcoming = asyncio.ensure_future(_next(ticket))
            await asyncio.wait({upcoming, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                upcoming.cancel()
                raise ClientDisconnect
            event = upcoming.result()
            if isinstance(event, Answered):
                return event
            if isinstance(event, Refused):
                raise _Refusal(event)
    finally:
        gone.cancel()
        ticket.abandon()  # of no effect on what is done


async def _events(ticket: Ticket) -> AsyncIterator[tuple[str, str]]:
    try:
        while True:
            event = await _next(ticket)
            match event:
                case Begun():
                    yield "begun", "{}"
                case Step():
                    yield "step", f'{{"done":{event.done},"of":{event.of}}}'
                case Drawn():
                    yield "image", event.image
                case Answered():
                    yield "answer", event.body.decode()
                    return
                case Refused():
                    yield error_event(event.kind, event.message)
                    return
    finally:
        ticket.abandon()


async def _next(ticket: Ticket) -> EngineEvent:
    """Wait for what happens next; for one that waits until its time is up, that is a refusal."""
    deadline = ticket.ask.deadline
    while deadline is not None and not ticket.begun:
        left = deadline - time.monotonic()
        if left <= 0:
            return Refused(ticket.ask.number, 503, "Busy", "its turn did not come in time.")
        try:
            return await asyncio.wait_for(ticket.next(), left)
        except TimeoutError:
            continue
    return await ticket.next()


class _Refusal(HTTPException):
    def __init__(self, event: Refused) -> None:
        headers = {"Retry-After": "5"} if event.status == 503 else {}
        super().__init__(event.status, event.message, headers)
        self.kind = event.kind


def _seconds(request: Request, terms: Terms) -> float | None:
    """Return how long an answer may take: the server's time, or less if the client has less."""
    given = request.headers.get(_DEADLINE)
    if given is None:
        return terms.deadline
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise HTTPException(400, f"{_DEADLINE} is {given[:40]!r}: give seconds, such as 20.")
    return min(seconds, terms.deadline or seconds)


def _check_token(request: Request, terms: Terms) -> None:
    if terms.token is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), terms.token.encode()):
        words = "this server wants its token: send the header 'Authorization: Bearer TOKEN'."
        raise HTTPException(401, words, {"WWW-Authenticate": "Bearer"})


def _check_host(request: Request, terms: Terms) -> None:
    """Refuse names that are not ours: a page in a browser here could ask under one of its own
    (DNS rebinding), and loopback keeps nobody out who is in already."""
    if terms.hosts is None:
        return
    name = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]").lower()
    if name not in terms.hosts:
        raise HTTPException(400, f"this server is not called {name[:80]!r}: ask 127.0.0.1.")


async def _body(request: Request) -> bytes:
    """Return the body, or refuse it.

    One that is a little too long is read to its end and dropped: whose connection closes while it
    still writes never gets to read why. One that is far too long is not listened to.
    """
    too_long = HTTPException(413, f"the request is longer than {MAX_BODY:,} bytes.")
    enough = HTTPException(413, too_long.detail, {"Connection": "close"})
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > _PATIENCE * MAX_BODY:
        raise enough
    body, length = bytearray(), 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > _PATIENCE * MAX_BODY:
            raise enough
        if length <= MAX_BODY:
            body += chunk
    if length > MAX_BODY:
        raise too_long
    return bytes(body)
