"""Many clients at once, some of them bad: no good one is lost, and none gets another's images.

The driver is the benchmark's own; `benchmarks/serving.py` does the same with more of everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from many import id_of, numbered
from serving import LONG, Server, figure, followed, heard, ready, until

from benchmarks.load import batches, compare, drive, family, figures, make_pool

AVATARS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("container")
    for number in range(AVATARS):
        numbered(root / "model" / str(number), number)
    return root


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[str, int]]:
    """The address of a server in whose queue four may wait, and its process's id."""
    with Server(folder, "--port", "0", "--queue", "4") as server:
        with server.client() as client:
            assert ready(client).status_code == 200
            yield str(client.base_url), server.process.pid
        server.process.terminate()
        code, log = server.finish()
    assert code == 0
    assert "Traceback" not in log


def test_none_is_lost_none_is_mixed_up_and_many_are_drawn_together(
    folder: Path, server: tuple[str, int]
) -> None:
    pool = make_pool([id_of(number) for number in range(AVATARS)], 40)
    url, pid = server
    before, processes = figures(url), {process.pid for process in family(pid)}
    with httpx.Client(base_url=url) as client, ThreadPoolExecutor(1) as threads:
        with followed(client, LONG) as first:  # until many were told that it is busy
            heard(first, "begun")
            driven = threads.submit(asyncio.run, drive(url, pool, clients=24, requests=72))
            until(lambda: figure(client, "lensa_requests_total", status="503") >= 12)
        tally = driven.result()
    after = figures(url)
    assert {process.pid for process in family(pid)} == processes
    assert after["lensa_drawer_restarts_total"] == 0
    assert tally.wrong == []
    assert len(tally.seconds) == tally.good > 48
    assert tally.told_busy > 0  # who was told came back
    assert set(tally.malformed) <= {400, 413, 415, 503}
    assert batches(before, after)["mean_images"] > 1
    found = compare(tally, pool, folder / "model")
    assert found.wrong == []
    assert found.apart > 8  # of 255: an image of another request would have shown


def test_what_is_mixed_up_is_noticed(folder: Path, server: tuple[str, int]) -> None:
    """The comparison itself: one is given another's picture, and its own words."""
    pool = make_pool([id_of(0), id_of(1)], 2)
    tally = asyncio.run(drive(server[0], pool, clients=1, requests=12))
    (one, first), (other, second) = list(tally.answers.items())[:2]
    assert one[0] != other[0]
    assert compare(tally, pool, folder / "model").wrong == []
    swapped = [image.model_copy(update={"data": second.images[0].data}) for image in first.images]
    tally.answers[one] = first.model_copy(update={"images": tuple(swapped)})
    assert "got other images" in compare(tally, pool, folder / "model").wrong[0]
