"""Progress while it happens, as server-sent events (the HTML standard, section 9.2).

    event: begun      {}                          its turn has come
    event: step       {"done": 8, "of": 40}       over all images of the request
    event: image      an image, as the contract has it: as soon as it is drawn
    event: answer     the whole answer, as JSON would have been
    event: error      {"error": {"type": ..., "message": ...}}

The last one is `answer` or `error`. A comment every few seconds shows that the line is open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from inference_entrypoint.media import EVENTS

_HEARTBEAT = 5.0  # seconds


@dataclass(frozen=True)
class Told:
    """One event; `status`: of the last one, what it would have been without events."""

    name: str
    data: str  # JSON on one line
    status: int | None = None


class EventStream(Response):
    """Events until they end or the client is gone."""

    media_type = EVENTS

    def __init__(self, events: AsyncGenerator[Told, None]) -> None:
        """`events` are closed in the end, whatever happens."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.on_end: Callable[[int], None] = lambda status: None  # told of the last event's status
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )

        async def say(text: str, more: bool = True) -> None:
            body = text.encode()
            await send({"type": "http.response.body", "body": body, "more_body": more})

        gone = asyncio.ensure_future(_until_gone(receive))
        upcoming: asyncio.Future[Told] | None = None
        status = 499
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(self._events))
                done, _ = await asyncio.wait(
                    {upcoming, gone}, timeout=_HEARTBEAT, return_when=asyncio.FIRST_COMPLETED
                )
                if gone in done:
                    return
                if upcoming not in done:
                    await say(": still here\n\n")
                    continue
                try:
                    event = upcoming.result()
                except StopAsyncIteration:
                    await say("", more=False)
                    return
                upcoming = None
                status = event.status or status
                await say(f"event: {event.name}\ndata: {event.data}\n\n")
        finally:
            gone.cancel()
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.wait({upcoming})
            await self._events.aclose()
            self.on_end(status)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def error_event(status: int, kind: str, message: str) -> Told:
    return Told("error", json.dumps({"error": {"type": kind, "message": message}}), status)
