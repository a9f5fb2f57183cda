"""Following what CloudFormation does to a stack, and why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lensa.backends.sagemaker.account import Account
from lensa.backends.sagemaker.refusals import explained
from lensa.backends.sagemaker.stack.state import Stack, find

Say = Callable[[str], None]

_STACK = "AWS::CloudFormation::Stack"
_DOING = {
    "CREATE_IN_PROGRESS": "is being made",
    "CREATE_COMPLETE": "is made",
    "CREATE_FAILED": "could not be made",
    "UPDATE_IN_PROGRESS": "is being changed",
    "UPDATE_COMPLETE": "is changed",
    "UPDATE_FAILED": "could not be changed",
    "DELETE_IN_PROGRESS": "is being removed",
    "DELETE_COMPLETE": "is removed",
    "DELETE_FAILED": "could not be removed",
    "DELETE_SKIPPED": "stays",
    "ROLLBACK_IN_PROGRESS": "goes back to nothing",
    "ROLLBACK_COMPLETE": "is empty again",
    "UPDATE_ROLLBACK_IN_PROGRESS": "goes back to what it was",
    "UPDATE_ROLLBACK_COMPLETE": "is what it was",
}
# What CloudFormation says of all that it stopped because of something else.
_CANCELLED = "cancelled"


@dataclass(frozen=True)
class Happening:
    """One event of a stack."""

    id: str
    resource: str
    type: str
    status: str
    reason: str

    @property
    def failed(self) -> bool:
        return self.status.endswith("_FAILED")

    def line(self) -> str:
        """The event in one line, with its reason if it failed."""
        what = "the stack" if self.type == _STACK else self.resource
        done = _DOING.get(self.status, self.status.lower().replace("_", " "))
        return f"{what} {done}" + (f": {self.reason}" if self.failed and self.reason else "")


class Progress:
    """What happens to a stack from now on. Make it before the change, follow it after."""

    def __init__(self, account: Account, stack: Stack, *, seconds: float, say: Say) -> None:
        self._account, self._stack, self._seconds, self._say = account, stack, seconds, say
        self._seen = {event.id for event in self._events()}
        self.happened: list[Happening] = []

    def follow(self, *, begun: bool = False) -> Stack | None:
        """Tell each event, and return the stack when nothing moves any more; None if it is gone.

        `begun`: the change goes on already, and may be over by now. One that we have started is
        waited for until its first event: before that the stack's state is that of before.
        """
        while True:
            begun = begun or bool(self.happened)
            now = find(self._account, self._stack.id)
            for event in self._events():
                if event.id not in self._seen:
                    self._seen.add(event.id)
                    self.happened.append(event)
                    self._say(event.line())
            if now is None or now.status == "DELETE_COMPLETE":
                return None
            if begun and not now.moving:
                return now
            time.sleep(self._seconds)

    @property
    def first_failure(self) -> Happening | None:
        """What began it: the first resource that failed by itself."""
        failed = [event for event in self.happened if event.failed]
        own = [event for event in failed if _CANCELLED not in event.reason]
        of_resources = [event for event in own if event.type != _STACK]
        return next(iter([*of_resources, *own, *failed]), None)

    def _events(self) -> list[Happening]:
        """The latest page of events, the oldest first: a hundred, more than one change makes."""
        client = self._account.client("cloudformation")
        with explained(f"following the stack {self._stack.name}"):
            found = client.describe_stack_events(StackName=self._stack.id)["StackEvents"]
        return [_read(event) for event in reversed(found)]


def _read(event: dict[str, Any]) -> Happening:
    return Happening(
        id=event["EventId"],
        resource=event.get("LogicalResourceId", ""),
        type=event.get("ResourceType", ""),
        status=event.get("ResourceStatus", ""),
        reason=event.get("ResourceStatusReason", "").strip(),
    )
