"""All of ours that runs in the account and region, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from lensa.backends.base import Running
from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.hosting import parts, scaling
from lensa.backends.sagemaker.hosting.order import Site
from lensa.backends.sagemaker.hosting.schedule import Schedules
from lensa.backends.sagemaker.hosting.state import EndpointState, describe, found_or_none
from lensa.backends.sagemaker.prices import Component
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.state import job_state
from lensa.contract.names import JOB
from lensa.costs import price

Hourly = Callable[[str, Component], float | None]  # instance type and its use -> dollars

_THREADS = 4
_FREE = {"Creating", "Failed"}  # a machine is paid for from its service on
_LATE = timedelta(minutes=15)  # the scheduler's own minute, and its attempts


def running(site: Site, hourly: Hourly) -> list[Running]:
    """Return what runs, the newest first: endpoints, training jobs, machines that are kept warm."""
    with ThreadPoolExecutor(_THREADS) as pool:
        states = [state for state in pool.map(_describer(site), names(site.account)) if state]
        found = list(pool.map(lambda state: _endpoint(site, state, hourly), states))
    jobs = [_job(found, hourly) for found in _jobs(site.account)]
    return sorted([*found, *jobs], key=lambda one: one.created, reverse=True)


def names(account: Account) -> list[str]:
    """Return the names of endpoints that may be ours: the tags tell."""
    with explained("listing endpoints"):
        pages = account.client("sagemaker").get_paginator("list_endpoints")
        return [
            one["EndpointName"]
            for page in pages.paginate(NameContains="lensa-")
            for one in page["Endpoints"]
            if one["EndpointName"].startswith("lensa-")
        ]


def expired(one: Running) -> bool:
    """Whether an endpoint is there although its end has come: nothing deleted it."""
    if not one.is_endpoint or one.forever:
        return False
    return one.due is not None and one.due + _LATE < datetime.now(UTC)


def _describer(site: Site) -> Callable[[str], EndpointState | None]:
    def ours(name: str) -> EndpointState | None:
        state = describe(site.account, name)
        return state if state is not None and state.ours else None

    return ours


def _endpoint(site: Site, state: EndpointState, hourly: Hourly) -> Running:
    contents = parts.contents(site.account, site.store.bucket, state.config)
    end = Schedules(site.account).end(state.name)
    asynchronous = contents is not None and contents.asynchronous
    instance = contents.instance_type if contents is not None else ""
    an_hour = hourly(instance, "Hosting") if instance else None
    age = max((datetime.now(UTC) - state.created).total_seconds(), 0.0)
    if state.status in _FREE:
        age = 0.0
    machines = (scaling.most(site.account, state.name) or 1) if asynchronous and age else 1
    return Running(
        name=state.name,
        kind="asynchronous endpoint" if asynchronous else "endpoint",
        status=state.status,
        instance_type=instance,
        instances=state.instances,
        created=state.created,
        end=end,
        due=end or state.due,
        forever=state.forever,
        hourly=an_hour,
        dollars=price(age * machines, an_hour),
        at_most=asynchronous,  # how many machines it had, and for how long, AWS does not say
    )


def _jobs(account: Account) -> Iterator[dict[str, Any]]:
    """Yield the descriptions of training jobs that run, or keep their machine warm."""
    client = account.client("sagemaker")
    for kind in ({"StatusEquals": "InProgress"}, {"WarmPoolStatusEquals": "Available"}):
        with explained("listing training jobs"):
            pages = client.get_paginator("list_training_jobs")
            found = [
                one["TrainingJobName"]
                for page in pages.paginate(NameContains="lensa-", **kind)
                for one in page["TrainingJobSummaries"]
                if JOB.fullmatch(one["TrainingJobName"])
            ]
            for name in found:
                described = found_or_none(
                    lambda name=name: client.describe_training_job(TrainingJobName=name)
                )
                warm = (described or {}).get("WarmPoolStatus", {}).get("Status") == "Available"
                if described is not None and ("StatusEquals" in kind or warm):
                    yield described


def _job(found: dict[str, Any], hourly: Hourly) -> Running:
    state = job_state(found)
    an_hour = hourly(state.instance_type, "Training")
    warm = found.get("WarmPoolStatus", {}).get("Status") == "Available"
    if warm:
        begun = found.get("TrainingEndTime") or state.created
        end = begun + timedelta(
            seconds=found["ResourceConfig"].get("KeepAlivePeriodInSeconds") or 0
        )
        dollars = price(max((datetime.now(UTC) - begun).total_seconds(), 0.0), an_hour)
    else:
        begun, dollars = state.created, price(state.billable_seconds, an_hour)
        end = state.created + timedelta(seconds=state.max_seconds)
    return Running(
        name=state.name,
        kind="warm pool" if warm else "training job",
        status="Available" if warm else state.phase,
        instance_type=state.instance_type,
        instances=1,
        created=begun,
        end=end,
        due=end,
        forever=False,
        hourly=an_hour,
        dollars=dollars,
    )
