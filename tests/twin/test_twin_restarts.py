"""Containers that end again and again are started more and more seldom."""

from __future__ import annotations

from lensa.testing.hosting.restarts import Restarts


def starts(restarts: Restarts, lives: float, until: float) -> int:
    """Count the starts until a time, of containers that live so long."""
    now, count = 0.0, 0
    while now < until:
        if restarts.may(now):
            restarts.started(now)
            count += 1
            now += lives
            restarts.ended(now)
        now += 0.05
    return count


def test_one_that_fails_at_once_is_started_a_dozen_times_in_two_minutes() -> None:
    assert 8 <= starts(Restarts(), lives=0.0, until=120) <= 14


def test_one_that_lasts_is_started_again_at_once() -> None:
    assert starts(Restarts(), lives=20.0, until=120) == 6
