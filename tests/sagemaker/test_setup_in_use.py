"""`lensa setup` on an account that is in use: what runs keeps its end, its role and its key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from conftest import TINY
from setups import (
    BUCKET,
    make_endpoint,
    models_are_read_once,  # noqa: F401
    setup,
    stack,
    stacks_fixture,  # noqa: F401
    twin_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.scaling import scale_to_zero
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.client import Client
from lensa.settings import load_settings
from lensa.testing import SagemakerTwin


def test_the_scheduler_role_ends_an_asynchronous_endpoint_at_its_hour(twin: SagemakerTwin) -> None:
    """Its scaling goes with it, by the rights of the role: without them it would go on."""
    setup("--yes")
    role = load_settings().scheduler_role
    assert role is not None
    output = {"S3OutputPath": f"s3://{BUCKET}/lensa/async/answers"}
    name = make_endpoint(twin, AsyncInferenceConfig={"OutputConfig": output})
    endpoint = twin.endpoints[name].wait()
    scale_to_zero(Account(), name)
    Schedules(Account()).put(name, twin.clock.now() + timedelta(hours=2), role)
    twin.clock.advance(2 * 3600 + 1)
    assert endpoint.gone.wait(30), twin.firings
    assert [firing.problem for firing in twin.firings] == [""]
    assert twin.resources()["scalable_targets"] == []


# --- removing ---


def test_while_an_endpoint_runs_the_role_that_ends_it_stays(twin: SagemakerTwin) -> None:
    setup("--yes")
    twin.faults.slow_endpoint(600)
    name = make_endpoint(twin)
    told = setup("--remove", "--yes", fails=2).output
    assert f"endpoint {name} would go on without an end" in told
    assert "lensa down --all" in told
    assert stack(twin)["StackStatus"] == "CREATE_COMPLETE"


def test_while_a_job_runs_its_role_stays(twin: SagemakerTwin, photos: Path) -> None:
    setup("--yes")
    twin.faults.slow_start(seconds=600)
    job = Client().train(photos, wait=False, subject="ada", **TINY)
    told = setup("--remove", "--yes", fails=2).output
    assert f"training job {job.name} would lose the role to work with" in told
    assert stack(twin)["StackStatus"] == "CREATE_COMPLETE"
