"""`lensa setup` on an account that is in use: what runs keeps its end, its role and its key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from conftest import TINY
from setups import (
    BUCKET,
    make_endpoint,
    outputs,
    setup,
    stack,
    stacks_fixture,  # noqa: F401
    twin_fixture,  # noqa: F401
)

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting.scaling import scale_to_zero
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.stack import change_set
from lensa.backends.sagemaker.stack.options import SetupOptions, changed
from lensa.backends.sagemaker.stack.setting_up import settled
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


# --- changing ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--role-path", "/teams/"], "would go on without an end"),
        (["--prefix", "ours"], f"would not reach s3://{BUCKET}/lensa any more"),
        (["--bucket", "another-one"], f"would not reach s3://{BUCKET}/lensa any more"),
    ],
)
def test_while_an_endpoint_runs_it_keeps_its_roles_and_its_place(
    twin: SagemakerTwin, arguments: list[str], words: str
) -> None:
    setup("--yes")
    twin.faults.slow_endpoint(600)
    name = make_endpoint(twin)
    told = setup("--yes", *arguments, fails=2).output
    assert f"endpoint {name} {words}" in told
    assert len(twin.called("ExecuteChangeSet")) == 1
    assert len(twin.called("DeleteChangeSet")) == 1  # what was proposed is thrown away
    setup("--yes", "--photo-days", "7")  # which takes nothing from it


def test_a_policy_that_somebody_has_is_not_replaced(twin: SagemakerTwin) -> None:
    setup("--yes")
    iam = twin.client("iam")
    iam.create_user(UserName="ada")
    iam.attach_user_policy(UserName="ada", PolicyArn=outputs(twin)["CallerPolicyArn"])
    assert "is attached to user ada" in setup("--yes", "--role-path", "/a/", fails=2).output


def test_the_key_of_what_lies_there_is_not_taken_from_the_roles(twin: SagemakerTwin) -> None:
    setup("--yes", "--key")
    key, s3 = outputs(twin)["KeyArn"], twin.client("s3")
    other = twin.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3.put_object(Bucket=BUCKET, Key="lensa/avatars/ada", Body=b"hers")
    for arguments in (["--no-key"], ["--key-arn", other]):
        told = setup("--yes", *arguments, fails=2).output
        assert f"what lies in s3://{BUCKET}/lensa/ is encrypted with {key}" in told
    assert load_settings().kms_key == key
    setup("--yes", "--no-key", "--prefix", "anew")
    assert load_settings().kms_key is None


def test_where_nothing_lies_the_key_may_go(twin: SagemakerTwin) -> None:
    setup("--yes", "--key")
    setup("--yes", "--no-key")
    assert load_settings().kms_key is None


def test_a_change_of_somebody_elses_that_is_over_before_we_look_is_not_waited_for(
    twin: SagemakerTwin,
) -> None:
    account, options = Account(region="us-east-1"), SetupOptions(bucket=BUCKET)
    parameters = changed(options.parameters(), {})
    proposed = change_set.propose(account, "lensa", new=True, parameters=parameters, seconds=0.01)
    assert proposed is not None
    change_set.execute(account, proposed)

    def meanwhile(said: str) -> None:
        while stack(twin)["StackStatus"] == "CREATE_IN_PROGRESS":
            twin.client("cloudformation").describe_stack_events(StackName="lensa")

    never = -1.0  # no sleep takes that
    now = settled(account, "lensa", seconds=never, say=meanwhile)
    assert now is not None and now.status == "CREATE_COMPLETE"
