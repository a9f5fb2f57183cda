"""Clients for a server, good ones and others, and what became of each: the driver of `serving.py`.

A good client asks for one of a pool of requests, comes back after as many seconds as a 503 says,
and keeps what it is answered; afterwards every answer is held against what the engine draws for
that request alone. Others send what is malformed, or hang up.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from lensa.contract import GenerationRequest, GenerationResponse

PATIENCE = 300.0  # seconds that a client has for one answer, all its attempts together
KEEP = 2.0  # seconds; shorter than the server keeps a connection, or both would use and close it
CLOSE = 2  # of 255: what batching may change of an image's byte

WORDS = ("pirate", "astronaut", "castle", "red hat", "beach", "neon", "knight", "oil painting")
MALFORMED: tuple[tuple[bytes, dict[str, str]], ...] = (
    (b"", {}),
    (b"{", {}),
    (b'{"prompt": "x", "count": 0}', {}),
    (b'{"prompt": "x", "widht": 64}', {}),
    (b'{"prompt": "x", "avatar": "lensa-00000000-00000000"}', {}),
    (b'{"prompt": "(x"}', {}),
    (b'{"prompt": "x"}', {"Content-Type": "text/csv"}),
    (b'{"prompt": "x"}', {"Content-Encoding": "gzip"}),
    (b'{"prompt": "x", "count": 2}', {"Accept": "image/png"}),
    (b"x" * 9_000_000, {}),
)


@dataclass(frozen=True)
class Shares:
    """Of the requests, how many are not good ones."""

    malformed: float = 0.05
    disconnects: float = 0.05


@dataclass
class Tally:
    """What became of the requests."""

    good: int = 0
    images: int = 0
    told_busy: int = 0  # 503 with Retry-After; the client came back
    malformed: Counter[int] = field(default_factory=Counter)  # by status
    hung_up: int = 0
    wrong: list[str] = field(default_factory=list)  # lost, or answered as it should not be
    seconds: list[float] = field(default_factory=list)  # from asking first to being answered
    elapsed: float = 0.0
    # (request of the pool, digest of its images) -> the answer; many are byte for byte the same
    answers: dict[tuple[int, str], GenerationResponse] = field(default_factory=dict)


def make_pool(avatars: Sequence[str], size: int, seed: int = 0) -> list[GenerationRequest]:
    """Return distinct requests that cost a CPU little on `micro`.

    Prompts and seeds are few, so that many requests differ in their avatar alone.
    """
    source = random.Random(seed)
    pool: dict[tuple[str, int, str], GenerationRequest] = {}
    while len(pool) < size:
        prompt = f"{{subject}} as a {source.choice(WORDS)}, {source.choice(WORDS)}"
        request = GenerationRequest(
            prompt=prompt,
            negative_prompt=source.choice(["", "", "blurry"]),
            seed=source.randrange(4),
            count=source.choice([1, 1, 1, 2, 3]),
            steps=4,
            avatar=source.choice(avatars),
            adapter_scale=source.choice([1.0, 1.0, 0.6]),
        )
        pool[prompt, request.seed or 0, request.avatar or ""] = request
    return list(pool.values())


async def drive(
    url: str,
    pool: Sequence[GenerationRequest],
    *,
    clients: int,
    seconds: float = float("inf"),
    requests: float = float("inf"),
    shares: Shares = Shares(),
    seed: int = 0,
) -> Tally:
    """Let clients ask, one request at a time each, until the time is up or so many were begun."""
    tally = Tally()
    begin = time.monotonic()
    left = requests

    async def one(number: int) -> None:
        nonlocal left
        source = random.Random(f"{seed} {number}")
        limits = httpx.Limits(keepalive_expiry=KEEP)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits) as http:
            while time.monotonic() - begin < seconds and left > 0:
                left -= 1
                kind = source.random()
                try:
                    if kind < shares.malformed:
                        await _malformed(http, tally, source)
                    elif kind < shares.malformed + shares.disconnects:
                        await _hang_up(http, pool, tally, source)
                    else:
                        await _ask(http, pool, tally, source)
                except httpx.HTTPError as error:
                    tally.wrong.append(f"lost: {error!r}")

    await asyncio.gather(*(one(number) for number in range(clients)))
    tally.elapsed = time.monotonic() - begin
    return tally


async def _ask(
    http: httpx.AsyncClient, pool: Sequence[GenerationRequest], tally: Tally, source: random.Random
) -> None:
    tally.good += 1
    number = source.randrange(len(pool))
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE:
        answer = await http.post("/invocations", content=pool[number].model_dump_json())
        if answer.status_code != 503 or "retry-after" not in answer.headers:
            break
        tally.told_busy += 1
        await asyncio.sleep(int(answer.headers["retry-after"]) + source.random() / 2)
    if answer.status_code != 200:
        tally.wrong.append(f"{answer.status_code}: {answer.text[:200]}")
        return
    tally.seconds.append(time.monotonic() - begin)
    response = GenerationResponse.model_validate_json(answer.content)
    tally.images += len(response.images)
    digest = hashlib.sha256("".join(one.data for one in response.images).encode()).hexdigest()
    tally.answers[number, digest] = response


async def _malformed(http: httpx.AsyncClient, tally: Tally, source: random.Random) -> None:
    content, headers = source.choice(MALFORMED)
    answer = await http.post("/invocations", content=content, headers=headers)
    tally.malformed[answer.status_code] += 1
    if not (400 <= answer.status_code < 500 or answer.status_code == 503):
        tally.wrong.append(f"{content[:40]!r} was answered {answer.status_code}")


async def _hang_up(
    http: httpx.AsyncClient, pool: Sequence[GenerationRequest], tally: Tally, source: random.Random
) -> None:
    tally.hung_up += 1
    asked = http.post("/invocations", content=source.choice(pool).model_dump_json())
    with suppress(TimeoutError):
        await asyncio.wait_for(asked, source.uniform(0.001, 0.3))


@dataclass
class Comparison:
    """Answers against what the engine draws alone. Differences are of a byte of an image."""

    wrong: list[str] = field(default_factory=list)
    largest: int = 0  # between an answer's image and the one drawn alone
    differing: int = 0  # answers that are not the same bytes
    apart: int = 255  # between the images of two requests, the least: what a mix-up would show


def compare(tally: Tally, pool: Sequence[GenerationRequest], folder: Path) -> Comparison:
    """Draw each request of the pool alone, and hold every answer against it."""
    from inference_entrypoint.inference import model_fn

    model, found = model_fn(str(folder)), Comparison()
    alone = {number: model.generate(pool[number]) for number, _ in sorted(tally.answers)}
    for (number, _), response in tally.answers.items():
        mine = alone[number]
        told = (response.avatar, [(one.seed, one.index, one.prompt) for one in response.images])
        meant = (
            pool[number].avatar,
            list(zip(mine.seeds, mine.indices, mine.prompts, strict=True)),
        )
        if told != meant:
            found.wrong.append(f"request {number} was told of {told}, not of {meant}")
            continue
        differences = [
            _difference(_opened(image.content()), np.asarray(drawn, dtype=int))
            for image, drawn in zip(response.images, mine.images, strict=True)
        ]
        found.largest = max(found.largest, *differences)
        found.differing += any(differences)
        if max(differences) > CLOSE:
            found.wrong.append(f"request {number} got other images: {differences} of 255")
    firsts = [np.asarray(result.images[0], dtype=int) for result in alone.values()]
    found.apart = min((_difference(*pair) for pair in combinations(firsts, 2)), default=255)
    return found


def _opened(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


def _difference(one: np.ndarray, other: np.ndarray) -> int:
    return 255 if one.shape != other.shape else int(np.abs(one - other).max())


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def memory(pid: int) -> int:
    """Bytes that are resident in a process and its children."""
    return sum(process.memory_info().rss for process in family(pid))


def cpu_seconds(pid: int) -> float:
    times = [process.cpu_times() for process in family(pid)]
    return sum(one.user + one.system for one in times)


@contextmanager
def watched(pid: int, every: float = 1.0) -> Iterator[list[int]]:
    """Yield a list that fills up with the memory of a process and its children."""
    from threading import Event, Thread

    seen, done = [memory(pid)], Event()

    def look() -> None:
        while not done.wait(every):
            seen.append(memory(pid))

    thread = Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def figures(url: str) -> dict[str, float]:
    """Return /metrics as {name{labels}: value}."""
    text = httpx.get(f"{url}/metrics", timeout=PATIENCE).text
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def batches(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    """Return what sizes of batches were drawn between two looks at /metrics."""
    name = "lensa_batch_images"
    grown = {key: value - before.get(key, 0.0) for key, value in after.items()}
    count = grown.get(f"{name}_count", 0)
    sizes, below = {}, 0.0
    for key, value in grown.items():
        if key.startswith(f"{name}_bucket"):
            if value > below:
                sizes[key.split("[")[1].rstrip("]")] = int(value - below)
            below = value
    mean = round(grown.get(f"{name}_sum", 0) / count, 2) if count else 0.0
    return {"batches": int(count), "mean_images": mean, "at_most": sizes}
