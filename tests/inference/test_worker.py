"""The queue before the model."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from inference_entrypoint.worker import Abandoned, QueueFull, Worker


def blocked(worker: Worker) -> threading.Event:
    """Keep the worker busy until the event is set."""
    begun, release = threading.Event(), threading.Event()

    def job(check: object) -> None:
        begun.set()
        release.wait(10)

    worker.submit(job)
    assert begun.wait(10)
    return release


def test_jobs_run_in_order_one_at_a_time() -> None:
    worker, seen = Worker(8), []
    release = blocked(worker)
    tickets = [worker.submit(lambda _, i=i: seen.append(i)) for i in range(5)]
    assert seen == []
    release.set()
    for ticket in tickets:
        ticket.future.result(10)
    assert seen == [0, 1, 2, 3, 4]


def test_a_full_queue_says_when_to_come_back() -> None:
    worker = Worker(2)
    release = blocked(worker)
    tickets = [worker.submit(lambda _: 1) for _ in range(2)]
    with pytest.raises(QueueFull) as full:
        worker.submit(lambda _: 1)
    assert full.value.retry_after >= 1
    tickets[0].abandon()  # its place is free at once
    assert worker.submit(lambda _: 2)
    release.set()


def test_an_error_is_the_callers_and_the_worker_lives_on() -> None:
    worker = Worker(2)
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda _: 1 / 0).future.result(10)
    assert worker.submit(lambda _: 7).future.result(10) == 7


def test_an_abandoned_job_ends_at_its_next_check() -> None:
    worker = Worker(2)
    begun = threading.Event()

    def endless(check: object) -> None:
        begun.set()
        while True:
            check()  # type: ignore[operator]
            time.sleep(0.001)

    running = worker.submit(endless)
    waiting = worker.submit(lambda _: 1)
    assert begun.wait(10)
    worker.abandon_all()
    with pytest.raises(Abandoned):
        running.future.result(10)
    with pytest.raises(CancelledError):
        waiting.future.result(10)
    assert worker.submit(lambda _: 3).future.result(10) == 3
