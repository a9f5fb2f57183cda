"""EventBridge Scheduler: moto keeps the entries, and here those of `at(...)` come to pass.

They come when the twin's clock passes them, whether or not any client is there. Entries of
`rate(...)` and `cron(...)` are kept and never come.

Clients count from their own clock, which no test advances. A time that is past for the twin's clock
alone is read from where that one stands: two hours from now are two hours of both.
"""

from __future__ import annotations

import json
import re
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from lensa.testing.account import ACCOUNT
from lensa.testing.answers import AwsError
from lensa.testing.clock import Clock
from lensa.testing.operations import Call
from lensa.testing.roles import SCHEDULER, why_not
from lensa.testing.shapes import check_input

_TICK = 0.2  # real seconds between two looks at the clock, unless a test moves it
_SOONEST, _LATEST = 1.0, 480.0  # seconds of the clock from one attempt to the next
_ATTEMPTS, _AGE = 185, 86_400  # a RetryPolicy's defaults: more attempts, and seconds for them
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:(\w+):(\w+)")

Action = Callable[[Call, str], object]
"""Does what an operation asks for, with a role. Raises AwsError."""


Key = tuple[str, str, str, str]
"""Region, group, name and expression: an entry that is moved begins anew."""


@dataclass
class _Attempts:
    """What became of an entry so far."""

    ahead: timedelta = timedelta()  # how far its time is read from what it says
    made: int = 0
    first: datetime | None = None
    next: datetime | None = None
    done: bool = False


@dataclass(frozen=True)
class Firing:
    """An entry that came to pass."""

    schedule: str
    region: str
    operation: str
    """As in the API: DeleteEndpoint."""
    parameters: dict[str, Any]
    time: datetime
    """Of the twin's clock."""
    problem: str
    """Why nothing came of it, if nothing did."""


class SchedulerApi:
    """The scheduler of one twin: what it refuses, and the thread in which entries come to pass."""

    def __init__(self, clock: Clock, actions: dict[str, Action]) -> None:
        """`actions`: what a universal target of SageMaker can call, by operation."""
        self.firings: list[Firing] = []
        self._clock, self._actions = clock, actions
        self._attempts: dict[Key, _Attempts] = {}
        self._wake, self._closing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="twin-scheduler", daemon=True)

    def start(self) -> None:
        self._clock.tell(self._wake.set)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join()

    # --- the API ---

    def create(self, call: Call) -> None:
        """Refuse what AWS refuses; moto keeps the rest."""
        ahead = self._check(call)
        asked = call.parameters
        group, name = asked.get("GroupName", "default"), asked["Name"]
        if self._find(call.region, group, name) is None:
            key = (call.region, group, name, asked["ScheduleExpression"])
            self._attempts[key] = _Attempts(ahead)

    def update(self, call: Call) -> dict[str, Any] | None:
        """Replace an entry. What is not given is as if it had never been, as on AWS."""
        ahead = self._check(call)
        asked = call.parameters
        group, name = asked.get("GroupName", "default"), asked["Name"]
        entry = self._find(call.region, group, name)
        if entry is None:
            return None  # moto says so
        key = (call.region, group, name, asked["ScheduleExpression"])
        self._attempts[key] = _Attempts(ahead)
        entry.update(
            description=asked.get("Description", ""),
            end_date=asked.get("EndDate"),
            flexible_time_window=asked["FlexibleTimeWindow"],
            kms_key_arn=asked.get("KmsKeyArn"),
            schedule_expression=asked["ScheduleExpression"],
            schedule_expression_timezone=asked.get("ScheduleExpressionTimezone"),
            start_date=asked.get("StartDate"),
            state=asked.get("State", "ENABLED"),
            target=asked["Target"],
        )
        entry.action_after_completion = asked.get("ActionAfterCompletion", "NONE")
        return {"ScheduleArn": entry.arn}

    def _check(self, call: Call) -> timedelta:
        """Raise what AWS refuses; return how far the entry's time is read from what it says."""
        asked = call.parameters
        target = asked["Target"]
        expression = asked["ScheduleExpression"]
        ahead = timedelta()
        if expression.startswith("at("):
            time = _time_of(expression, asked.get("ScheduleExpressionTimezone"))
            if time is not None and datetime.now(UTC) < time <= self._clock.now():
                ahead = self._clock.now() - datetime.now(UTC)
            if time is None or time + ahead <= self._clock.now():
                raise AwsError("ValidationException", f"Invalid Schedule Expression {expression}.")
        if why_not(target["RoleArn"], SCHEDULER):
            raise AwsError(
                "ValidationException",
                "The execution role you provide must allow AWS EventBridge Scheduler to assume "
                "the role.",
            )
        if match := _UNIVERSAL.fullmatch(target["Arn"]):
            try:
                _parameters(match[1], _capital(match[2]), target.get("Input"))
            except AwsError as problem:
                raise AwsError(
                    "ValidationException",
                    f"Invalid RequestJson provided. Reason {problem.message}",
                ) from None
        return ahead

    # --- coming to pass ---

    def _run(self) -> None:
        while not self._closing:
            for region, group, entry in list(_entries()):
                try:
                    self._look(region, group, entry)
                except Exception:  # a test has to see it, and the other entries have to come
                    self._record(region, group, entry, traceback.format_exc())
            self._wake.wait(_TICK)
            self._wake.clear()

    def _look(self, region: str, group: Any, entry: Any) -> None:
        time = _time_of(entry.schedule_expression, entry.schedule_expression_timezone)
        attempts = self._attempts.setdefault(_key(region, group, entry), _Attempts())
        now = self._clock.now()
        if time is None or attempts.done or entry.state not in {None, "ENABLED"}:
            return
        if now < (attempts.next or time + attempts.ahead):
            return
        operation, parameters, problem = self._fire(region, entry.target)
        if "in-progress" in problem and _again(attempts, entry.target, now):
            return
        self._record(region, group, entry, problem, operation, parameters)

    def _record(
        self,
        region: str,
        group: Any,
        entry: Any,
        problem: str,
        operation: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> None:
        """Note that an entry came to pass, for the first and last time."""
        self._attempts.setdefault(_key(region, group, entry), _Attempts()).done = True
        firing = Firing(entry.name, region, operation, parameters or {}, self._clock.now(), problem)
        self.firings.append(firing)
        if entry.action_after_completion == "DELETE":
            group.schedules.pop(entry.name, None)

    def _fire(self, region: str, target: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
        """Do what an entry is for; return operation, parameters, and what went wrong."""
        match = _UNIVERSAL.fullmatch(target["Arn"])
        if (
            match is None
            or match[1] != "sagemaker"
            or ((operation := _capital(match[2])) not in self._actions)
        ):
            return "", {}, f"lensa.testing cannot do {target['Arn']}"
        if problem := why_not(target["RoleArn"], SCHEDULER):
            return operation, {}, problem
        parameters: dict[str, Any] = {}
        try:
            parameters = _parameters(match[1], operation, target.get("Input"))
            call = Call("sagemaker", operation, parameters, region, "platform")
            self._actions[operation](call, target["RoleArn"])
        except AwsError as refusal:
            return operation, parameters, str(refusal)
        return operation, parameters, ""

    def _find(self, region: str, group: str, name: str) -> Any:
        for where, entries, entry in _entries():
            if (where, entries.name, entry.name) == (region, group, name):
                return entry
        return None


def _key(region: str, group: Any, entry: Any) -> Key:
    return region, group.name, entry.name, entry.schedule_expression


def _again(attempts: _Attempts, target: dict[str, Any], now: datetime) -> bool:
    """Count an attempt that failed, and say whether there is another one.

    Its age counts from the first attempt, not from the entry's time: a clock that is advanced by
    days has passed over all attempts in between.
    """
    policy = target.get("RetryPolicy") or {}
    attempts.first = attempts.first or now
    wait = min(_SOONEST * 2**attempts.made, _LATEST)
    attempts.made += 1
    attempts.next = now + timedelta(seconds=wait)
    until = attempts.first + timedelta(seconds=policy.get("MaximumEventAgeInSeconds", _AGE))
    return attempts.made <= policy.get("MaximumRetryAttempts", _ATTEMPTS) and now < until


def _entries() -> Iterator[tuple[str, Any, Any]]:
    """Yield region, group and entry of every schedule that moto keeps."""
    from moto.scheduler.models import scheduler_backends

    for region, backend in list(scheduler_backends[ACCOUNT].items()):
        for group in list(backend.schedule_groups.values()):
            for entry in list(group.schedules.values()):
                yield region, group, entry


def schedule_names() -> list[str]:
    """Return the names of all entries."""
    return sorted(entry.name for _, _, entry in _entries())


def _time_of(expression: str, zone: str | None) -> datetime | None:
    """Return when a one-time entry comes, or None if it is none."""
    match = _AT.fullmatch(expression)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match[1]).replace(tzinfo=ZoneInfo(zone or "UTC"))
    except (ValueError, OSError):
        return None


def _parameters(service: str, operation: str, text: str | None) -> dict[str, Any]:
    """Return the parameters of a universal target. Raises AwsError if they are not right."""
    try:
        parameters = json.loads(text or "{}")
    except ValueError:
        parameters = None
    if not isinstance(parameters, dict):
        raise AwsError("ValidationException", "The Input is not a JSON object.")
    check_input(service, operation, parameters)
    return parameters


def _capital(operation: str) -> str:
    """Return the API's name of what a target calls deleteEndpoint."""
    return operation[0].upper() + operation[1:]
