"""`lensa setup`: the stack is made or changed, once what that means was seen and confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from lensa import configuration
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.stack import bucket_choice, change_set, failing, in_use, outputs
from lensa.backends.sagemaker.stack.change_set import ChangeSet
from lensa.backends.sagemaker.stack.changes import Change
from lensa.backends.sagemaker.stack.options import SetupOptions, changed
from lensa.backends.sagemaker.stack.progress import Progress, Say
from lensa.backends.sagemaker.stack.state import EMPTY, GOOD, STUCK, Stack, check_name, find
from lensa.errors import AccountError

CHANGEABLE = frozenset({*GOOD, "UPDATE_ROLLBACK_COMPLETE"})


@dataclass(frozen=True)
class Proposal:
    """What somebody is asked to confirm."""

    stack: str
    new: bool
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stuck: str = ""  # the status of a stack that has to be deleted first; then nothing else is said


Confirm = Callable[[Proposal], bool]


@dataclass(frozen=True)
class Done:
    """What came of it. `settings` is what lensa.toml says now."""

    status: Literal["made", "changed", "unchanged", "declined"]
    stack: str
    settings: dict[str, str | dict[str, str]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)  # values of the user's own that gave way


def set_up(
    account: Account,
    name: str,
    options: SetupOptions,
    *,
    confirm: Confirm,
    say: Say,
    defaults: SetupOptions | None = None,
    seconds: float = 5.0,
) -> Done:
    """Make the stack, or change it to what `options` say, and write lensa.toml.

    `defaults` are for a stack that is new; one that is there keeps what `options` do not name.
    Interrupted, CloudFormation goes on by itself; the same call then writes lensa.toml. Raises
    AccountError if a stack could not be made or changed, with the reason of what failed first, and
    before anything is changed if that would be taken from something that uses it.
    """
    configuration.check_writable()
    try:
        stack = _usable(account, check_name(name), confirm, say, seconds)
        if stack is None and defaults is not None:
            options = options.over(defaults)
        choice = bucket_choice.choose(account, options, stack)
        given = {**options.parameters(), **choice.parameters}
        proposed = change_set.propose(
            account,
            name,
            new=stack is None,
            parameters=changed(given, {} if stack is None else stack.parameters),
            seconds=seconds,
        )
        if proposed is None:
            assert stack is not None, "a new stack is a change"
            return _written(account, "unchanged", stack)
        with _thrown_away_otherwise(account, proposed):
            if stack is not None:
                in_use.check_change(account, stack, given, proposed.changes)
            if not confirm(Proposal(name, stack is None, proposed.changes, choice.notes)):
                raise _Declined
    except _Declined:
        return Done("declined", name)
    progress = Progress(account, proposed.stack, seconds=seconds, say=say)
    change_set.execute(account, proposed)
    now = progress.follow()
    if now is None or now.status not in GOOD:
        raise AccountError(failing.failed(name, now, progress.first_failure))
    return _written(account, "made" if stack is None else "changed", now)


def delete(account: Account, stack: Stack, *, seconds: float, say: Say) -> None:
    """Delete a stack and wait until it is gone; AccountError says what stands in the way."""
    progress = Progress(account, stack, seconds=seconds, say=say)
    with explained(f"deleting the stack {stack.name}"):
        account.client("cloudformation").delete_stack(StackName=stack.id)
    now = progress.follow()
    if now is not None:
        raise AccountError(failing.failed(stack.name, now, progress.first_failure))


class _Declined(Exception):
    """Somebody was asked, and does not want it."""


def _usable(
    account: Account, name: str, confirm: Confirm, say: Say, seconds: float
) -> Stack | None:
    """Return the stack to be changed, None where one is to be made."""
    stack = settled(account, name, seconds=seconds, say=say)
    if stack is None or stack.status == EMPTY:
        return None
    if stack.status in STUCK:
        if not confirm(Proposal(name, new=True, stuck=stack.status)):
            raise _Declined
        delete(account, stack, seconds=seconds, say=say)
        return None
    if stack.status not in CHANGEABLE:
        raise AccountError(failing.unusable(stack))
    return stack


@contextmanager
def _thrown_away_otherwise(account: Account, proposed: ChangeSet) -> Iterator[None]:
    """Throw away what was proposed if it comes to nothing."""
    try:
        yield
    except BaseException:
        change_set.discard(account, proposed)
        raise


def settled(account: Account, name: str, *, seconds: float, say: Say) -> Stack | None:
    """Return the stack once nobody else changes it any more, None if there is none."""
    stack = find(account, name)
    if stack is None or not stack.moving:
        return stack
    say(f"the stack {name} is being changed already ({stack.status}): waiting for that")
    return Progress(account, stack, seconds=seconds, say=say).follow(begun=True)


def _written(
    account: Account, status: Literal["made", "changed", "unchanged"], stack: Stack
) -> Done:
    settings = outputs.settings(stack.outputs, account.region)
    replaced = configuration.remember(settings)
    return Done(status, stack.name, settings, stack.outputs, replaced)
