"""Large bodies, many at a time: there is an end to the memory that they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from inference_entrypoint.bodies import MAX_BODY, Bodies


def client(most: int) -> httpx.AsyncClient:
    """Of an application that answers with the length of a body."""
    bodies = Bodies(most)

    async def length(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await bodies.read(request))))

    app = Starlette(routes=[Route("/", length, methods=["POST"])])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


async def in_parts(size: int, half: asyncio.Event, end: asyncio.Event) -> AsyncIterator[bytes]:
    """Send most of a body, tell so, and wait for the word to end."""
    yield b"x" * (size - 1)
    half.set()
    await end.wait()
    yield b"x"


def test_one_large_body_too_many_is_refused_and_the_small_ones_are_not() -> None:
    async def scenario() -> None:
        half, end = asyncio.Event(), asyncio.Event()
        async with client(most=1_000_000) as http:
            first = asyncio.create_task(http.post("/", content=in_parts(700_000, half, end)))
            await half.wait()
            second = await http.post("/", content=b"x" * 700_000)
            assert second.status_code == 503
            assert second.headers["retry-after"] == "1"
            assert second.headers["connection"] == "close"
            assert (await http.post("/", content=b"x" * 60_000)).text == "60000"
            end.set()
            assert (await first).text == "700000"
            assert (await http.post("/", content=b"x" * 700_000)).text == "700000"

    asyncio.run(scenario())


def test_what_was_refused_or_broken_off_gives_its_share_back() -> None:
    async def scenario() -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x" * 900_000
            raise ConnectionError

        async with client(most=1_000_000) as http:
            for _ in range(3):
                assert (await http.post("/", content=b"x" * 2_000_000)).status_code == 503
                with suppress(ConnectionError):
                    await http.post("/", content=broken())
            assert (await http.post("/", content=b"x" * 900_000)).text == "900000"

    asyncio.run(scenario())


def test_one_that_is_a_little_too_long_is_read_to_its_end() -> None:
    async def scenario() -> None:
        async with client(most=10 * MAX_BODY) as http:
            assert (await http.post("/", content=b"x" * MAX_BODY)).text == str(MAX_BODY)
            little = await http.post("/", content=b"x" * (MAX_BODY + 1))
            assert little.status_code == 413 and "connection" not in little.headers
            much = await http.post("/", content=b"x" * (4 * MAX_BODY))
            assert much.status_code == 413 and much.headers["connection"] == "close"

    asyncio.run(scenario())
