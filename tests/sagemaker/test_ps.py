"""What runs and what it costs, and how it is taken down: `lensa ps`, `lensa down`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloud import train
from conftest import TINY
from shelved import (
    ADA,
    REX,
    left_of_endpoints,
    quickly,
    twin_fixture,  # noqa: F401
)
from typer.testing import CliRunner, Result

from lensa.cli import app
from lensa.cli.times import end_words, span
from lensa.client import Client
from lensa.testing import SagemakerTwin


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def told(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return value


def test_what_runs_is_shown_with_its_age_its_end_and_its_price(twin: SagemakerTwin) -> None:
    assert "nothing of lensa's runs" in run("ps").stdout
    name = told("deploy", ADA, "--keep", "3d", "--no-wait")["endpoint"]
    twin.endpoints[name].wait()
    [one] = told("ps")["running"]
    assert (one["name"], one["kind"], one["status"]) == (name, "endpoint", "InService")
    assert (one["instance_type"], one["instances"]) == ("ml.g5.xlarge", 1)
    assert one["hourly"] == 1.408 and one["at_most"] is False and 0 <= one["dollars"] < 0.1
    page = run("ps").stdout
    assert name in page and "end: in 2 days 23 h" in page and "$1.41 an hour" in page

    for_ever = told("deploy", REX, "--keep", "forever", "--no-wait")
    assert for_ever["end"] is None and "end: forever" in run("ps").stdout


def test_only_what_serves_is_paid_for(twin: SagemakerTwin) -> None:
    twin.faults.slow_endpoint(3600)
    told("deploy", ADA, "--no-wait")
    twin.clock.advance(1800)
    [one] = told("ps")["running"]
    assert (one["status"], one["dollars"]) == ("Creating", 0)


def test_a_training_job_that_runs_is_among_it(twin: SagemakerTwin, photos: Path) -> None:
    twin.faults.slow_start(3600)
    job = Client().train(photos, subject="max", wait=False, max_hours=1, **TINY)
    [one] = told("ps")["running"]
    assert (one["name"], one["kind"], one["status"]) == (job.name, "training job", "starting")
    assert one["instance_type"] == "ml.g5.2xlarge" and one["dollars"] == 0
    assert "end: in 59 min" in run("ps").stdout or "end: in 1 h" in run("ps").stdout
    assert Client().endpoints() == []


@pytest.mark.slow
def test_a_machine_that_is_kept_warm_is_among_it(twin: SagemakerTwin, photos: Path) -> None:
    avatar = train(photos, warm_pool_minutes=30)
    [one] = told("ps")["running"]
    assert (one["name"], one["kind"], one["status"]) == (avatar.id, "warm pool", "Available")
    assert "end: in 29 min" in run("ps").stdout


def test_an_endpoint_that_lost_its_end_is_pointed_at(twin: SagemakerTwin) -> None:
    name = str(quickly().name)
    twin.client("scheduler").delete_schedule(Name=name)
    assert "NO END" in run("ps").stdout
    told("deploy", ADA, "--no-wait")  # once more: it runs as it is, and gets its end
    assert "NO END" not in run("ps").stdout


def test_down_asks_takes_down_and_says_what_went(twin: SagemakerTwin) -> None:
    name, other = str(quickly(ADA).name), str(quickly(REX).name)
    assert "there is no terminal to ask on" in run("down", name).stderr
    assert len(Client().endpoints()) == 2
    page = run("down", name, "--yes")
    assert page.exit_code == 0 and f"endpoint {name}" in page.stdout
    assert [one.name for one in Client().endpoints()] == [other]
    assert run("down", name, "--yes").exit_code == 2  # it is not there any more
    assert run("down").exit_code == 2
    [down] = told("down", "--all", "--yes")["down"]
    assert down["name"] == other and down["failed"] == []
    assert left_of_endpoints(twin) == []


def test_down_fails_with_what_could_not_be_removed(twin: SagemakerTwin) -> None:
    name = str(quickly().name)
    twin.faults.fail("DeleteEndpointConfig", "AccessDeniedException", "no")
    result = run("down", name, "--yes")
    assert result.exit_code == 1 and "DeleteEndpointConfig" in result.stderr


def test_times_are_said_as_a_person_says_them() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert [span(seconds) for seconds in (30, 700, 6000, 90_000, 260_000)] == [
        "less than a minute",
        "11 min",
        "1 h 40 min",
        "1 day 1 h",
        "3 days",
    ]
    assert end_words(now + timedelta(minutes=100), forever=False, now=now).startswith("in 1 h 40")
    assert end_words(now - timedelta(minutes=20), forever=False, now=now).startswith("20 min ago")
    assert end_words(None, forever=True) == "forever"
    assert end_words(None, forever=False) == "NO END"
