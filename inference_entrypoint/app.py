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
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inference_entrypoint.bodies import Bodies
from inference_entrypoint.channel import Answered, Begun, Drawn, Refused, Step
from inference_entrypoint.engine import Engine, Ticket
from inference_entrypoint.engine import Event as EngineEvent
from inference_entrypoint.events import EventStream, Told, error_event
from inference_entrypoint.media import JSON, media_type, negotiate, wants_events
from inference_entrypoint.metrics import Metrics
from inference_entrypoint.openapi import openapi
from inference_entrypoint.refusals import error_response
from inference_entrypoint.statuses import Busy, refusal
from lensa.contract import GenerationRequest
from lensa.errors import ConfigError

# Reading millions of entries would hold up everybody. Two prompts have 20,000 commas at most, and
# base64 has none.
MAX_COMMAS = 50_000
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
    bodies = Bodies()

    async def ping(request: Request) -> Response:
        if engine.state == "failed":
            return error_response(500, engine.failure[1], engine.failure[0])
        if engine.state == "loading":
            headers = {"Retry-After": str(engine.loading_for)}
            return JSONResponse({"status": "loading"}, 503, headers=headers)
        return JSONResponse({"status": "ready", "avatar": engine.name})

    async def invocations(request: Request) -> Response:
        _check_token(request, terms)
        return await _invoke(engine, bodies, request, terms)

    async def figures(request: Request) -> Response:
        _check_token(request, terms)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    description = openapi()

    async def schema(request: Request) -> Response:
        return JSONResponse(description)

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
            response = error_response(
                error.status_code, error.detail, kind, headers=dict(error.headers or {})
            )
        except Exception as error:
            told = refusal(error, identity)
            if told.status == 500:
                log.exception("a request failed", extra={"request": identity})
            headers = {"Retry-After": str(told.retry_after)} if told.retry_after else {}
            response = error_response(told.status, told.message, told.type, headers)
        response.headers["X-Request-Id"] = identity

        def note(status: int) -> None:
            seconds = time.monotonic() - start
            metrics.requests.labels(str(status)).inc()
            metrics.seconds.observe(seconds)
            facts = {"request": identity, "status": status, "seconds": round(seconds, 3)}
            log.info("answered", extra=facts)

        if isinstance(response, EventStream):
            response.on_end = note
        elif request.url.path == "/invocations":
            note(response.status_code)
        return response

    return told


async def _invoke(engine: Engine, bodies: Bodies, request: Request, terms: Terms) -> Response:
    arrived = time.monotonic()
    body = await bodies.read(request)
    if engine.state == "failed":
        return error_response(500, engine.failure[1], engine.failure[0])
    content_type = request.headers.get("content-type", JSON)
    if media_type(content_type) != JSON or "content-encoding" in request.headers:
        raise HTTPException(415, f"send {JSON}, not compressed.")
    accept = request.headers.get("accept", JSON)
    if body.count(b",") > MAX_COMMAS:
        raise ConfigError(
            "generation: that many entries are in no request: send one object with the fields that "
            "/openapi.json names."
        )
    # Strict: `true` is not the seed 1, nor "yes" a truth; the schema says so, too.
    message = GenerationRequest.model_validate_json(body, strict=True)
    events = wants_events(accept)
    format = None if events else negotiate(message, accept)  # refused before anything is drawn
    if format is not None:
        message = message.model_copy(update={"format": format})
    if engine.state == "loading":
        raise Busy("the model is still loading.", engine.loading_for)
    identity: str = request.state.identity
    log.debug("asked", extra={"request": identity, "prompt": message.prompt})
    seconds = _seconds(request, terms)
    ticket = engine.submit(
        identity,
        message.model_dump_json(),
        JSON if events else accept,
        seconds=None if seconds is None else seconds - (time.monotonic() - arrived),
        events=events,
    )
    if events:
        return EventStream(_events(ticket))
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


async def _events(ticket: Ticket) -> AsyncGenerator[Told, None]:
    try:
        while True:
            event = await _next(ticket)
            match event:
                case Begun():
                    yield Told("begun", "{}")
                case Step():
                    yield Told("step", f'{{"done":{event.done},"of":{event.of}}}')
                case Drawn():
                    yield Told("image", event.image)
                case Answered():
                    yield Told("answer", event.body.decode(), 200)
                    return
                case Refused():
                    yield error_event(event.status, event.kind, event.message)
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
    """Refuse names that are not ours, and pages of others: a browser on this machine shows pages
    that ask under a name of their own (DNS rebinding), or without caring for the answer, and
    loopback keeps nobody out who is in already."""
    if terms.hosts is None:
        return
    name = _host_of(f"//{request.headers.get('host', '')}")
    if name not in terms.hosts:
        raise HTTPException(400, f"this server is not called {name[:80]!r}: ask 127.0.0.1.")
    origin = request.headers.get("origin")
    if origin is not None and _host_of(origin) not in terms.hosts:
        raise HTTPException(403, "a page of another site asks: this server is for this machine.")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
