"""`lensa setup`: an account is prepared by a stack that is shown first, and lensa.toml says so."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from moto_stacks import Stacks
from setups import (
    BUCKET,
    is_gone,
    outputs,
    setup,
    stack,
    stacks_fixture,  # noqa: F401
    twin_fixture,  # noqa: F401
)
from typer.testing import CliRunner

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.stack import change_set
from lensa.backends.sagemaker.stack.options import SetupOptions, changed
from lensa.backends.sagemaker.stack.setting_up import Proposal, set_up
from lensa.cli import app
from lensa.client import Client
from lensa.settings import load_settings
from lensa.testing import SagemakerTwin

KEEPS = """\
# of our team
base = "sd15"  # not the newest

[sagemaker]
spot = true  # cheap
"""


# --- making ---


def test_what_would_be_made_is_shown_then_made_and_told(twin: SagemakerTwin) -> None:
    result = setup("--yes")
    shown, _, told = result.output.partition("The stack lensa is made.")
    assert "make  ExecutionRole  AWS::IAM::Role" in shown
    assert "(IAM): ExecutionRole, SchedulerRole, CallerPolicy" in shown
    assert "ExecutionRole is made" in shown
    made = outputs(twin)
    assert f"Attach this policy to whoever uses lensa: {made['CallerPolicyArn']}" in told
    settings = load_settings()
    assert (settings.backend, settings.region) == ("sagemaker", "us-east-1")
    assert (settings.bucket, settings.prefix, settings.kms_key) == (BUCKET, "lensa", None)
    assert settings.role == made["ExecutionRoleArn"]
    assert settings.scheduler_role == made["SchedulerRoleArn"]


def test_a_training_then_needs_no_option_of_aws(twin: SagemakerTwin, photos: Path) -> None:
    setup("--yes")
    asked = ["train", str(photos), "--base", "micro", "--subject", "ada", "--dry-run", "--json"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    request = json.loads(result.stdout.splitlines()[-1])["CreateTrainingJob"]
    assert request["RoleArn"] == outputs(twin)["ExecutionRoleArn"]
    assert request["OutputDataConfig"]["S3OutputPath"] == f"s3://{BUCKET}/lensa/avatars"


def test_the_doctor_finds_role_and_bucket_well(twin: SagemakerTwin) -> None:
    setup("--yes")
    findings = {each.name: each for each in Client().doctor(base="micro").findings}
    assert findings["role"].status == findings["bucket"].status == "ok"
    deploy = {each.name: each for each in Client().doctor(purpose="deploy").findings}
    assert deploy["scheduler role"].status == "ok"


def test_secrets_are_made_empty_and_named_to_jobs_and_endpoints(twin: SagemakerTwin) -> None:
    told = setup("--yes", "--hub-secret", "--wandb-secret").output
    made, settings = outputs(twin), load_settings()
    assert settings.sagemaker == {
        "hub_secret": made["HubSecretArn"],
        "wandb_secret": made["WandbSecretArn"],
    }
    assert settings.deploy == {"hub_secret": made["HubSecretArn"]}
    assert f"put-secret-value --secret-id {made['HubSecretArn']}" in told
    with pytest.raises(ClientError, match="can't find the specified secret value"):
        twin.client("secretsmanager").get_secret_value(SecretId="lensa/hub-token")


def test_a_script_gets_one_line_of_json(twin: SagemakerTwin) -> None:
    result = json.loads(setup("--yes", "--json").stdout.splitlines()[-1])
    assert (result["status"], result["settings"]["bucket"]) == ("made", BUCKET)


# --- asking first ---


def test_where_nobody_can_be_asked_nothing_is_made(twin: SagemakerTwin) -> None:
    assert "there is no terminal to ask on" in setup(fails=2).output
    assert is_gone(twin)
    assert not Path("lensa.toml").exists()


@pytest.mark.parametrize("arguments", [[], ["--remove"]], ids=["making", "removing"])
def test_on_a_terminal_it_asks_and_no_is_the_default(
    twin: SagemakerTwin, arguments: list[str]
) -> None:
    if arguments:
        setup("--yes")
    ours, theirs = pty.openpty()
    os.write(ours, b"\n")
    script = "from lensa.cli import main; main()"
    child = subprocess.run(
        [sys.executable, "-c", script, "setup", *arguments],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert child.returncode == 1, shown
    assert "[y/N]" in shown
    assert "Nothing was" in child.stdout
    assert is_gone(twin) is not bool(arguments)


def test_who_declines_has_nothing_left_behind(twin: SagemakerTwin) -> None:
    seen: list[Proposal] = []

    def decline(proposal: Proposal) -> bool:
        seen.append(proposal)
        return False

    done = set_up(
        Account(region="us-east-1"), "lensa", SetupOptions(), confirm=decline, say=seen.append
    )
    assert done.status == "declined"
    (proposal,) = seen
    assert proposal.new
    assert "SchedulerRole" in {change.resource for change in proposal.changes}
    assert is_gone(twin)
    assert not Path("lensa.toml").exists()


# --- changing ---


def test_what_was_interrupted_goes_on_and_the_same_command_waits_for_it(
    twin: SagemakerTwin,
) -> None:
    account, options = Account(region="us-east-1"), SetupOptions(bucket=BUCKET)
    parameters = changed(options.parameters(), {})
    proposed = change_set.propose(account, "lensa", new=True, parameters=parameters, seconds=0.01)
    assert proposed is not None
    change_set.execute(account, proposed)
    assert stack(twin)["StackStatus"] == "CREATE_IN_PROGRESS"
    told = setup("--yes").output
    assert "is being changed already (CREATE_IN_PROGRESS): waiting for that" in told
    assert "nothing to change" in told
    assert load_settings().role == outputs(twin)["ExecutionRoleArn"]


def test_the_same_again_changes_nothing(twin: SagemakerTwin) -> None:
    setup("--yes", "--prefix", "ours")
    Path("lensa.toml").unlink()
    assert "nothing to change" in setup().output  # and so there is nothing to ask
    assert load_settings().prefix == "ours"
    assert len(twin.called("ExecuteChangeSet")) == 1


def test_a_key_comes_later_and_what_is_not_named_stays(twin: SagemakerTwin) -> None:
    setup("--yes", "--photo-days", "7", "--hub-secret")
    role = load_settings().role
    shown = setup("--yes", "--key").output
    assert "make    Key" in shown
    assert "change  Bucket" in shown
    assert "replaced" not in shown
    settings = load_settings()
    key = outputs(twin)["KeyArn"]
    assert (settings.kms_key, settings.role) == (key, role)
    assert settings.sagemaker == {"hub_secret": outputs(twin)["HubSecretArn"]}
    answer = twin.client("s3").get_bucket_encryption(Bucket=BUCKET)
    (rule,) = answer["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == key
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in stack(twin)["Parameters"]}
    assert (parameters["PhotoDays"], parameters["UseKey"]) == ("7", "yes")
    twin.client("s3").put_object(Bucket=BUCKET, Key="lensa/x", Body=b"x")


def test_what_is_replaced_is_said_in_words(twin: SagemakerTwin) -> None:
    setup("--yes")
    shown = setup("--yes", "--role-path", "/teams/").output
    assert "It is replaced: a new one is made, then the old one goes." in shown


def test_another_bucket_lets_the_first_one_stay(twin: SagemakerTwin) -> None:
    setup("--yes")
    shown = setup("--yes", "--bucket", twin.bucket).output
    assert "The stack lets go of it; it stays in the account." in shown
    assert load_settings().bucket == twin.bucket
    twin.client("s3").head_bucket(Bucket=BUCKET)


# --- lensa.toml ---


def test_what_else_is_in_lensa_toml_stays_comments_too(twin: SagemakerTwin) -> None:
    Path("lensa.toml").write_text(KEEPS)
    setup("--yes", "--hub-secret")
    settings = load_settings()
    assert (settings.base, settings.sagemaker["spot"]) == ("sd15", True)
    text = Path("lensa.toml").read_text()
    assert "# of our team\n" in text
    assert "spot = true  # cheap\n" in text
    assert '[deploy]\nhub_secret = "arn' in text
    setup("--remove", "--yes")
    assert Path("lensa.toml").read_text().split() == KEEPS.split()


def test_a_value_that_gives_way_is_told(twin: SagemakerTwin) -> None:
    Path("lensa.toml").write_text('role = "mine"\nbucket = "of-our-own"\n')
    told = setup("--yes").output
    assert "role was 'mine' in lensa.toml" in told
    assert load_settings().bucket == "of-our-own"  # a bucket that is named there is the one made


def test_an_environment_that_wins_over_it_is_told(
    twin: SagemakerTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSA_ROLE", "another")
    assert "but LENSA_ROLE is set in your environment, and wins" in setup("--yes").output


def test_a_file_that_cannot_be_read_stops_it_before_anything(twin: SagemakerTwin) -> None:
    Path("lensa.toml").write_text("role = ")
    assert "lensa.toml: " in setup("--yes", fails=2).output
    assert twin.called("CreateChangeSet") == []


# --- a bucket that is there ---


def test_a_bucket_that_is_there_is_used_as_it_is(twin: SagemakerTwin) -> None:
    shown = setup("--yes", "--bucket", twin.bucket).output
    assert f"The bucket {twin.bucket} is there already. It is used" in shown
    assert "AWS::S3::Bucket" not in shown
    assert "does not itself block public access" in shown
    assert load_settings().bucket == twin.bucket


def test_a_bucket_of_somebody_elses_is_refused(twin: SagemakerTwin) -> None:
    twin.client("s3").create_bucket(Bucket="not-ours")
    twin.faults.foreign_bucket("not-ours")
    assert "not-ours" in setup("--yes", "--bucket", "not-ours", fails=2).output
    assert twin.called("CreateChangeSet") == []


# --- failing ---


def test_the_first_reason_of_a_failure_is_told_and_the_next_try_starts_afresh(
    twin: SagemakerTwin, stacks: Stacks
) -> None:
    stacks.failing["CallerPolicy"] = "User is not authorized to perform: iam:CreatePolicy"
    told = setup("--yes", fails=2).output
    assert "failed at CallerPolicy (AWS::IAM::ManagedPolicy): User is not authorized" in told
    assert "it takes somebody who may do that" in told
    assert "the next lensa setup offers to delete it" in told
    assert stack(twin)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert not Path("lensa.toml").exists()
    assert "there is no terminal" in setup(fails=2).output
    assert stack(twin)["StackStatus"] == "ROLLBACK_COMPLETE"  # it was only offered
    stacks.failing.clear()
    told = setup("--yes").output
    assert "The stack lensa is ROLLBACK_COMPLETE: an attempt that failed" in told
    assert stack(twin)["StackStatus"] == "CREATE_COMPLETE"


def test_a_change_that_fails_leaves_everything_as_it_was(
    twin: SagemakerTwin, stacks: Stacks
) -> None:
    setup("--yes")
    before = Path("lensa.toml").read_text()
    stacks.failing["HubToken"] = "A resource with the ID lensa/hub-token already exists"
    told = setup("--yes", "--hub-secret", fails=2).output
    assert "Something of that name is there already" in told
    assert "Everything is as it was before." in told
    assert Path("lensa.toml").read_text() == before
    assert stack(twin)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    stacks.failing.clear()
    setup("--yes", "--wandb-secret")  # from there it can be changed again


def test_who_may_not_set_up_is_told_what_is_lacking(twin: SagemakerTwin) -> None:
    twin.faults.fail(
        "CreateChangeSet",
        "AccessDenied",
        "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: "
        "cloudformation:CreateChangeSet on resource: arn:aws:cloudformation:us-east-1::stack/lensa",
    )
    told = setup("--yes", fails=2).output
    assert "Ask whoever administers the account for cloudformation:CreateChangeSet" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--key", "--key-arn", "arn:aws:kms:eu-west-1:123456789012:key/1"], "give one of them"),
        (["--key-arn", "my-key"], "setup: key_arn = 'my-key'"),
        (["--photo-days", "0"], "setup: photo_days = 0"),
        (["--bucket", "Not A Bucket"], "setup: bucket = 'Not A Bucket'"),
        (["--stack-name", "my stack"], "'my stack' is no name for a stack"),
        (["--remove", "--photo-days", "3"], "--remove takes no --photo-days"),
    ],
)
def test_what_makes_no_sense_is_said_before_aws_is_asked(
    twin: SagemakerTwin, arguments: list[str], words: str
) -> None:
    assert words in setup(*arguments, fails=2).output
    assert twin.calls == []


# --- removing ---


def test_the_stack_goes_and_the_bucket_stays(twin: SagemakerTwin) -> None:
    setup("--yes", "--key", "--hub-secret")
    made = outputs(twin)
    s3 = twin.client("s3")
    s3.put_object(Bucket=BUCKET, Key="lensa/avatars/ada", Body=b"hers")
    told = setup("--remove", "--yes").output
    assert "It stays: Bucket" in told
    assert f"aws s3 rm s3://{BUCKET}/lensa --recursive" in told
    assert f"schedule-key-deletion --key-id {made['KeyArn'].rpartition('/')[2]}" in told
    assert is_gone(twin)
    assert not Path("lensa.toml").exists()
    assert s3.get_object(Bucket=BUCKET, Key="lensa/avatars/ada")["Body"].read() == b"hers"
    assert "LensaTlsOnly" in s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
    iam = twin.client("iam")
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["lensa-twin"]
    with pytest.raises(ClientError):
        twin.client("secretsmanager").describe_secret(SecretId="lensa/hub-token")
    again = setup("--yes").output  # and finds the bucket and its key again
    assert "is there already" in again
    assert load_settings().kms_key == made["KeyArn"]


def test_a_policy_that_somebody_has_is_named_before_anything_goes(twin: SagemakerTwin) -> None:
    setup("--yes")
    iam = twin.client("iam")
    iam.create_user(UserName="ada")
    iam.attach_user_policy(UserName="ada", PolicyArn=outputs(twin)["CallerPolicyArn"])
    assert "is attached to user ada" in setup("--remove", "--yes", fails=2).output
    assert stack(twin)["StackStatus"] == "CREATE_COMPLETE"


def test_removing_what_is_not_there_says_so(twin: SagemakerTwin) -> None:
    assert "there is no stack 'lensa' in us-east-1" in setup("--remove", "--yes", fails=2).output
