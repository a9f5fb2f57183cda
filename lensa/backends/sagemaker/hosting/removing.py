"""Taking an endpoint down, with everything that belongs to it.

What costs goes first, and the end that is set goes last: broken off anywhere, what is left costs
nothing, or is deleted at its end. What is gone already is passed over: again does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lensa.backends.sagemaker import keys
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.follow import Pause
from lensa.backends.sagemaker.hosting import parts, scaling
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import (
    EndpointState,
    accepted,
    describe,
    found_or_none,
    status,
)
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.transfer import Store
from lensa.errors import AccountError, EndpointError, LensaError

OnState = Callable[[EndpointState], None]

_PATIENCE_SECONDS = 3600.0  # with an endpoint that is on its way: it can be deleted only then


@dataclass
class Removal:
    """What went, in words, and what could not be removed: each with its reason."""

    endpoint: str
    removed: list[str] = field(default_factory=list)
    failed: list[LensaError] = field(default_factory=list)
    unfetched: str = ""  # answers that went and that nobody had fetched, in words


def remove(
    account: Account,
    store: Store,
    endpoint: str,
    *,
    poll_seconds: float = 5.0,
    on_state: OnState | None = None,
    answers: bool = True,
    begun: bool = False,
) -> Removal:
    """Delete an endpoint of ours and all that is called after it; with `answers`, those in the
    bucket that nobody has fetched, too. `begun`: it was asked to go already, and may be gone.

    What cannot be removed stands in the answer, and the rest is removed all the same. `on_state` is
    called while the endpoint is waited for. Raises AccountError for an endpoint that is not ours.
    """
    done = Removal(endpoint)
    found = describe(account, endpoint)
    if found is not None and not found.ours:
        raise AccountError(
            f"{endpoint} was not made by lensa (it has no tag lensa:version): nothing was touched."
        )
    # Of one that is gone nobody knows what it was.
    asynchronous = True
    if found is not None:
        serves = parts.contents(account, store.bucket, found.config)
        asynchronous = serves is None or serves.asynchronous
        _step(done, lambda: _delete_endpoint(account, endpoint, poll_seconds, on_state))
        if done.failed:  # the rest is what it runs on, and its end
            return done
    elif begun:
        done.removed.append(_itself(endpoint))
    sweep(account, store, endpoint, done, asynchronous=asynchronous, answers=answers)
    return done


def begin(account: Account, endpoint: str) -> bool:
    """Ask for the end of an endpoint of ours, if it can be deleted now, and do not wait for it.
    Return whether that was asked.

    What goes wrong `remove` tells, which comes after.
    """
    with suppress(LensaError):
        found = describe(account, endpoint)
        if found is not None and found.ours and found.settled:
            return _ask_to_go(account, endpoint)
    return False


def sweep(
    account: Account,
    store: Store,
    endpoint: str,
    done: Removal,
    *,
    asynchronous: bool = True,
    answers: bool = True,
) -> None:
    """Delete all that is called after an endpoint but itself; with `answers`, those that nobody has
    fetched, too."""
    if asynchronous:
        _step(done, lambda: _scaling(account, endpoint))
    remove_parts(account, store, endpoint, done)
    _step(done, partial(_delete_files, store, keys.endpoint(endpoint)))
    if answers:
        _step(done, partial(_delete_answers, store, endpoint, done))
    if not done.failed:
        _step(done, lambda: _schedule(account, endpoint))


def remove_parts(
    account: Account,
    store: Store,
    endpoint: str,
    done: Removal,
    *,
    but: parts.Contents | None = None,
) -> None:
    """Delete the configurations, models and model folders of an endpoint, but for what it serves
    now."""
    spared = {but.config, but.model} if but is not None else set()

    def each() -> str:
        names = []
        for part in parts.configs(account, endpoint) + parts.models(account, endpoint):
            if part.name not in spared:
                _delete_part(account, part)
                names.append(f"{part.kind} {part.name}")
        return ", ".join(names)

    _step(done, each)
    if but is not None:
        _step(done, lambda: _delete_folders(store, endpoint, but.folder))


def _delete_endpoint(
    account: Account, endpoint: str, poll_seconds: float, on_state: OnState | None
) -> str:
    """Delete it as soon as that is possible, and return when it is gone."""
    pause, until = Pause(poll_seconds), time.monotonic() + _PATIENCE_SECONDS
    while (state := status(account, endpoint)) is not None:
        if state.settled and _ask_to_go(account, endpoint):
            continue
        if on_state is not None:
            on_state(state)
        if time.monotonic() > until:
            raise EndpointError(
                f"the endpoint {endpoint} is {state.status} for an hour, and cannot be deleted "
                f"as long as it is: try again with: lensa down {endpoint}"
            )
        pause.wait()
    return _itself(endpoint)


def _itself(endpoint: str) -> str:
    return f"endpoint {endpoint}"


def _ask_to_go(account: Account, endpoint: str) -> bool:
    """Return False if it is on its way to another state by now: not yet."""
    client: Any = account.client("sagemaker")

    def delete() -> None:
        client.delete_endpoint(EndpointName=endpoint)

    with explained(f"deleting the endpoint {endpoint}"):
        return found_or_none(lambda: accepted(delete)) is not False


def _delete_part(account: Account, part: parts.Part) -> None:
    client: Any = account.client("sagemaker")
    with explained(f"deleting the {part.kind} {part.name}"):
        if part.kind == "model":
            found_or_none(lambda: client.delete_model(ModelName=part.name))
        else:
            found_or_none(lambda: client.delete_endpoint_config(EndpointConfigName=part.name))


def _delete_folders(store: Store, endpoint: str, spared: str) -> str:
    """Delete the model folders of an endpoint, but for one."""
    parent = keys.served(endpoint, "")
    folders = {parent + item.key[len(parent) :].partition("/")[0] for item in store.list(parent)}
    gone = [folder for folder in sorted(folders) if folder != spared]
    for folder in gone:
        store.delete(folder)
    return ", ".join(store.bucket.uri(folder) for folder in gone)


def _delete_files(store: Store, prefix: str) -> str:
    return store.bucket.uri(prefix) if store.delete(prefix) else ""


def _delete_answers(store: Store, endpoint: str, done: Removal) -> str:
    """Delete the requests and answers of an endpoint, and say how many nobody has fetched."""
    count = sum(1 for _ in store.list(f"{keys.answers(endpoint)}/"))
    what = _delete_files(store, keys.asynchronous(endpoint))
    if not count:
        return what
    done.unfetched = f"{count} answer{'' if count == 1 else 's'} that nobody has fetched"
    return f"{what} ({done.unfetched})"


def _scaling(account: Account, endpoint: str) -> str:
    scaling.remove(account, endpoint)
    return "scaling"


def _schedule(account: Account, endpoint: str) -> str:
    return f"schedule {endpoint}" if Schedules(account).remove(endpoint) else ""


def _step(done: Removal, step: Callable[[], str]) -> None:
    try:
        what = step()
    except LensaError as error:
        done.failed.append(error)
    else:
        if what:
            done.removed.append(what)
