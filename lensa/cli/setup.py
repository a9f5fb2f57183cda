"""`lensa setup`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensa.cli.output import Json, emit, told
from lensa.errors import ConfigError

if TYPE_CHECKING:
    from lensa.backends.sagemaker.account import Account
    from lensa.backends.sagemaker.stack.removing import Removal
    from lensa.backends.sagemaker.stack.setting_up import Done, Proposal
    from lensa.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(setup)


@told
def setup(
    stack_name: Annotated[str, typer.Option(help="Of the CloudFormation stack.")] = "lensa",
    bucket: Annotated[
        str | None, typer.Option(help="Made, or used if it is there; lensa-ACCOUNT-REGION.")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="Below it lies everything; lensa.")] = None,
    photo_days: Annotated[
        int | None, typer.Option(help="Then the bucket forgets the photos; 30.")
    ] = None,
    key: Annotated[
        bool | None, typer.Option("--key/--no-key", help="Encrypt with a KMS key of its own.")
    ] = None,
    key_arn: Annotated[str | None, typer.Option(help="Or with a KMS key that is there.")] = None,
    hub_secret: Annotated[
        bool | None,
        typer.Option("--hub-secret/--no-hub-secret", help="A secret for your hub token."),
    ] = None,
    wandb_secret: Annotated[
        bool | None,
        typer.Option("--wandb-secret/--no-wandb-secret", help="A secret for your W&B key."),
    ] = None,
    vpc: Annotated[
        bool | None, typer.Option("--vpc/--no-vpc", help="Jobs may join subnets of yours.")
    ] = None,
    role_path: Annotated[str | None, typer.Option(help="The IAM path of the roles.")] = None,
    permissions_boundary: Annotated[
        str | None, typer.Option(help="The ARN of a policy that bounds the roles.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="As configured if not given.")] = None,
    profile: Annotated[str | None, typer.Option(help="Of your AWS settings.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the stack.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    json: Json = False,
) -> None:
    """Prepare an AWS account: a bucket, two roles, a policy, and what else you ask for.

    A CloudFormation stack, shown before it is made. Its outputs go to lensa.toml in this folder.
    The same command changes it later: what you do not give stays as it is.
    """
    from lensa.backends.sagemaker.account import Account
    from lensa.backends.sagemaker.stack.options import SetupOptions
    from lensa.settings import load_settings

    given: dict[str, Any] = {
        "bucket": bucket,
        "prefix": prefix,
        "photo_days": photo_days,
        "key": key,
        "key_arn": key_arn,
        "hub_secret": hub_secret,
        "wandb_secret": wandb_secret,
        "vpc": vpc,
        "role_path": role_path,
        "permissions_boundary": permissions_boundary,
    }
    given = {name: value for name, value in given.items() if value is not None}
    settings = load_settings(region=region, profile=profile)
    account = Account(region=settings.region, profile=settings.profile)
    if remove:
        if given:
            raise ConfigError(f"--remove takes no --{next(iter(given)).replace('_', '-')}.")
        _remove(account, stack_name, settings, yes=yes, json=json)
    else:
        _set_up(account, stack_name, SetupOptions(**given), settings, yes=yes, json=json)


def _set_up(
    account: Account, name: str, options: Any, settings: Settings, *, yes: bool, json: bool
) -> None:
    from dataclasses import asdict

    from lensa.backends.sagemaker.stack.options import SetupOptions
    from lensa.backends.sagemaker.stack.setting_up import set_up

    defaults = SetupOptions(bucket=settings.bucket, prefix=settings.prefix)

    def confirm(proposal: Proposal) -> bool:
        _show(proposal)
        return yes or _asked("Delete it?" if proposal.stuck else "Shall this be done?")

    done = set_up(
        account,
        name,
        options,
        defaults=defaults,
        confirm=confirm,
        say=_say,
        seconds=settings.poll_seconds,
    )
    if json:
        emit(asdict(done))
    elif done.status == "declined":
        print("Nothing was changed.")
    else:
        _tell(done)
    if done.status == "declined":
        raise typer.Exit(1)


def _show(proposal: Proposal) -> None:
    if proposal.stuck:
        _say(
            f"The stack {proposal.stack} is {proposal.stuck}: an attempt that failed, which "
            "CloudFormation can only delete. Then it can be made anew."
        )
        return
    verb = "made" if proposal.new else "changed"
    _say(f"The stack {proposal.stack} would be {verb}:")
    rows = [[c.action, c.resource, c.type, c.note] for c in proposal.changes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        _say("  " + "  ".join([*cells, row[3]]).rstrip())
    permissions = [c.resource for c in proposal.changes if c.permissions]
    if permissions:
        _say(
            "Of these decide who may do what (IAM): "
            f"{', '.join(permissions)}. docs/setup.md says what each may."
        )
    for note in proposal.notes:
        _say(note)


def _tell(done: Done) -> None:
    import os

    print(
        {
            "made": f"The stack {done.stack} is made.",
            "changed": f"The stack {done.stack} is changed.",
            "unchanged": f"The stack {done.stack} is as you ask already: nothing to change.",
        }[done.status]
    )
    print("In this folder lensa now works on AWS (lensa.toml):")
    for name, value in done.settings.items():
        pairs = value.items() if isinstance(value, dict) else [("", value)]
        for key, text in pairs:
            print(f"  {f'{name}.{key}' if key else name} = {text}")
            variable = f"LENSA_{name}__{key}" if key else f"LENSA_{name}"
            if os.environ.get(variable.upper(), text) != text:
                print(f"    but {variable.upper()} is set in your environment, and wins")
    for line in done.replaced:
        print(f"  ({line})")
    print(f"Attach this policy to whoever uses lensa: {done.outputs.get('CallerPolicyArn', '')}")
    for output, what in (
        ("HubSecretArn", "your Hugging Face token"),
        ("WandbSecretArn", "your W&B key"),
    ):
        if arn := done.outputs.get(output):
            print(
                f"Put {what} into its secret; jobs fail while that is empty:\n"
                f"  aws secretsmanager put-secret-value --secret-id {arn} --secret-string "
                "file:///dev/stdin"
            )


def _remove(account: Account, name: str, settings: Settings, *, yes: bool, json: bool) -> None:
    from dataclasses import asdict

    from lensa.backends.sagemaker.stack.removing import tear_down

    def confirm(removal: Removal) -> bool:
        _say(f"The stack {name} would be deleted, and with it:")
        for each in removal.goes:
            _say(f"  {each.name}  {each.type}  {each.id}")
        for each in removal.stays:
            _say(f"It stays: {each.name}  {each.type}  {each.id}")
        return yes or _asked("Delete it?")

    removal = tear_down(account, name, confirm=confirm, say=_say, seconds=settings.poll_seconds)
    if json:
        emit(
            {"status": "declined"} if removal is None else {"status": "removed", **asdict(removal)}
        )
    elif removal is None:
        print("Nothing was removed.")
    else:
        _tell_removed(removal)
    if removal is None:
        raise typer.Exit(1)


def _tell_removed(removal: Removal) -> None:
    print(f"The stack {removal.stack} is gone, and its lines in lensa.toml.")
    print(
        f"The bucket {removal.bucket} stays, with what lies in it. To be rid of that, too:\n"
        f"  aws s3 rm s3://{removal.bucket}/{removal.prefix} --recursive\n"
        f"  aws s3 rb s3://{removal.bucket}"
    )
    if removal.key:
        print(
            "Its KMS key stays, at about a dollar a month: without it nobody reads what it "
            f"encrypted. When nothing of that is left:\n  aws kms schedule-key-deletion --key-id "
            f"{removal.key}"
        )


def _asked(question: str) -> bool:
    """Ask on the terminal; ConfigError where there is nobody to ask."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise ConfigError(
            "Nothing was changed: there is no terminal to ask on. If all that may be, add --yes."
        )
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        return False


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
