"""The HTTP face of an avatar: `/ping` and `/invocations`, as SageMaker asks for them.

The ML stack is imported by the thread that loads the model, so that the port answers at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inference_entrypoint.worker import Abandoned, Check, QueueFull, Worker
from lensa.contract import GenerationRequest
from lensa.contract.generation import MAX_IMAGE
from lensa.errors import LensaError, UserError

MAX_BODY = MAX_IMAGE + 100_000  # bytes; a request is a picture, a prompt and a few numbers
_PATIENCE = 3  # times as much is still read, to be polite
QUEUE = 16  # requests; at a second each, the last one waits as long as people do

_KINDS = {
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    503: "Busy",
}

log = logging.getLogger("lensa.server")


class Engine:
    """A model that is loading, ready or failed, and the worker that it draws in."""

    def __init__(
        self, model_dir: Path, on_failure: Callable[[str], None], queue: int = QUEUE
    ) -> None:
        """`queue`: how many requests may wait while one runs."""
        self.worker = Worker(queue)
        self.model: Any = None
        self.failure: BaseException | None = None
        self._model_dir, self._on_failure = model_dir, on_failure

    def start(self) -> None:
        """Load in the background. `on_failure` is called with the reason if that fails."""
        threading.Thread(target=self._load, name="loader", daemon=True).start()

    def _load(self) -> None:
        try:
            from inference_entrypoint.inference import answer, model_fn

            start = time.monotonic()
            model = model_fn(str(self._model_dir))
            # Ready means that an image can be made: one is. Small, so that a CPU makes it too.
            # No safety checker looks at it: a request may leave it out, and it may not be here.
            probe = GenerationRequest(prompt="", steps=1, width=64, height=64, seed=0, safety=False)
            self.worker.submit(lambda _: answer(probe, model)).future.result()
            self.model = model
            log.info("ready after %.1f s: %s", time.monotonic() - start, model.name)
        except BaseException as error:
            self.failure = error
            if not isinstance(error, LensaError):
                log.exception("loading failed")
            self._on_failure(_words(error))

    def draw(
        self, request: GenerationRequest, accept: str, check: Check
    ) -> tuple[str | bytes, dict[str, str]]:
        """Return the body, and the headers that tell of an image what JSON would."""
        from inference_entrypoint.inference import answer, output_fn

        response = answer(request, self.model, on_step=lambda *_: check())
        headers = {"X-Lensa-Seed": str(response.images[0].seed)}
        if any(image.unsafe for image in response.images):
            headers["X-Lensa-Unsafe"] = "true"
        if response.warnings:
            headers["X-Lensa-Warnings"] = quote("; ".join(response.warnings)[:1000], safe=" ,;:'()")
        return output_fn(response, accept), headers


def make_app(engine: Engine) -> Starlette:
    """Return the ASGI application of an engine."""

    async def ping(request: Request) -> Response:
        if engine.failure is not None:
            return _refusal(500, engine.failure)
        if engine.model is None:
            return JSONResponse({"status": "loading"}, 503, headers={"Retry-After": "1"})
        return JSONResponse({"status": "ready", "avatar": engine.model.name})

    async def invocations(request: Request) -> Response:
        identity = uuid.uuid4().hex[:12]
        start = time.monotonic()
        try:
            response = await _invoke(engine, request)
        except ClientDisconnect:
            response = Response(status_code=499)
        except HTTPException as error:
            headers = dict(error.headers or {})
            response = _refusal(error.status_code, error, error.detail, headers=headers)
        except LensaError as error:
            response = _refusal(400 if isinstance(error, UserError) else 500, error)
        except Exception as error:
            log.exception("request %s failed", identity)
            words = f"something went wrong that should not; the server's log has it as {identity}."
            response = _refusal(500, error, words)
        response.headers["X-Request-Id"] = identity
        seconds = time.monotonic() - start
        log.info("request %s: %d after %.2f s", identity, response.status_code, seconds)
        return response

    def other(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = f"{request.method} {request.url.path}: {error.detail}. There are GET /ping and "
        words += "POST /invocations."
        return _refusal(error.status_code, error, words, headers=dict(error.headers or {}))

    return Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={HTTPException: other},
    )


async def _invoke(engine: Engine, request: Request) -> Response:
    body = await _body(request)
    if engine.failure is not None:
        return _refusal(500, engine.failure)
    if engine.model is None:
        raise HTTPException(503, "the model is still loading.", {"Retry-After": "1"})
    from inference_entrypoint.inference import JSON, input_fn, media_type, negotiate

    content_type = request.headers.get("content-type", JSON)
    if media_type(content_type) != JSON or "content-encoding" in request.headers:
        raise HTTPException(415, f"send {JSON}, not compressed.")
    accept = request.headers.get("accept", JSON)
    message = input_fn(body, content_type)
    format = negotiate(message, accept)  # refused before anything is drawn
    if format is not None:
        message = message.model_copy(update={"format": format})
    try:
        ticket = engine.worker.submit(lambda check: engine.draw(message, accept, check))
    except QueueFull as full:
        words = f"{engine.worker.capacity} requests are waiting already."
        raise HTTPException(503, words, {"Retry-After": str(full.retry_after)}) from None
    drawing = asyncio.wrap_future(ticket.future)
    gone = asyncio.ensure_future(request.receive())  # the body is read: what comes is the end
    try:
        await asyncio.wait({drawing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not drawing.done():
            raise ClientDisconnect
        content, headers = drawing.result()
    except (Abandoned, asyncio.CancelledError):
        raise HTTPException(503, "the server is shutting down.", {"Retry-After": "5"}) from None
    finally:
        gone.cancel()
        ticket.abandon()  # of no effect on what is done
    if format is None:
        return Response(content, media_type=JSON)
    return Response(content, media_type=f"image/{format}", headers=headers)


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


def _refusal(
    status: int,
    error: BaseException,
    message: str | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    kind = _KINDS.get(status, type(error).__name__)
    content = {"error": {"type": kind, "message": message or _words(error)}}
    return JSONResponse(content, status, headers=headers)


def _words(error: BaseException) -> str:
    """What a user may read: our own errors as they are, any other by its first line."""
    text = str(error).strip()
    if isinstance(error, LensaError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0][:300] if text else 'no message'}"
