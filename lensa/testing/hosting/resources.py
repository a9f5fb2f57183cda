"""What has a name in SageMaker's hosting: models, endpoint configurations, endpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from lensa.testing.account import ACCOUNT, page
from lensa.testing.answers import AwsError
from lensa.testing.clock import Clock
from lensa.testing.models import service_model
from lensa.testing.operations import Call


@dataclass(frozen=True)
class Kind:
    """How AWS words a kind of resource."""

    word: str  # in messages
    segment: str  # in ARNs
    prefix: str  # of the members of requests and answers: ModelName, ModelArn
    listed: str  # the member of its list

    @property
    def name(self) -> str:
        return f"{self.prefix}Name"

    def arn(self, name: str, region: str) -> str:
        return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{self.segment}/{name}"

    def unknown(self, name: str, region: str) -> AwsError:
        return AwsError(
            "ValidationException", f'Could not find {self.word} "{self.arn(name, region)}".'
        )

    def taken(self, name: str, region: str) -> AwsError:
        arn = self.arn(name, region)
        return AwsError(
            "ValidationException", f'Cannot create already existing {self.word} "{arn}".'
        )


MODEL = Kind("model", "model", "Model", "Models")
ENDPOINT_CONFIG = Kind(
    "endpoint configuration", "endpoint-config", "EndpointConfig", "EndpointConfigs"
)
ENDPOINT = Kind("endpoint", "endpoint", "Endpoint", "Endpoints")


class Named(Protocol):
    """What a list can be made of."""

    name: str
    region: str
    created: datetime

    def summary(self) -> dict[str, Any]: ...


@dataclass
class Resource:
    """A model or an endpoint configuration: what was asked for. It never changes."""

    kind: Kind
    name: str
    region: str
    request: dict[str, Any]
    created: datetime
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return self.kind.arn(self.name, self.region)

    def describe(self) -> dict[str, Any]:
        shape = f"Describe{self.kind.prefix}Output"
        known = service_model("sagemaker").shape_for(shape).members
        told = {name: value for name, value in self.request.items() if name in known}
        return told | {f"{self.kind.prefix}Arn": self.arn, "CreationTime": self.created}

    def summary(self) -> dict[str, Any]:
        told = self.describe()
        return {
            name: told[name] for name in (self.kind.name, f"{self.kind.prefix}Arn", "CreationTime")
        }


class ResourceApi:
    """The models, or the endpoint configurations, of one twin."""

    def __init__(self, kind: Kind, clock: Clock, check: Callable[[Call], dict[str, Any]]) -> None:
        """`check` returns the request with AWS's defaults in it, or raises AwsError."""
        self._kind, self._clock, self._check = kind, clock, check
        self._resources: dict[tuple[str, str], Resource] = {}  # (region, name)
        self._lock = threading.Lock()

    def all(self) -> list[Resource]:
        with self._lock:
            return list(self._resources.values())

    def find(self, name: str, region: str) -> Resource:
        """Return it, or raise AwsError."""
        with self._lock:
            found = self._resources.get((region, name))
        if found is None:
            raise self._kind.unknown(name, region)
        return found

    def create(self, call: Call) -> dict[str, Any]:
        request = self._check(call)
        name = request[self._kind.name]
        made = Resource(self._kind, name, call.region, request, self._clock.now(), tags_in(request))
        with self._lock:
            if (call.region, name) in self._resources:
                raise self._kind.taken(name, call.region)
            self._resources[call.region, name] = made
        return {f"{self._kind.prefix}Arn": made.arn}

    def describe(self, call: Call) -> dict[str, Any]:
        return self.find(call.parameters[self._kind.name], call.region).describe()

    def list(self, call: Call) -> dict[str, Any]:
        here = [one for one in self.all() if one.region == call.region]
        return listed(here, call.parameters, self._kind.listed)

    def delete(self, call: Call) -> dict[str, Any]:
        found = self.find(call.parameters[self._kind.name], call.region)
        with self._lock:
            self._resources.pop((call.region, found.name), None)
        return {}

    def tags_of(self, arn: str) -> dict[str, str] | None:
        """Return the tags of one of these, to be read or changed; None if it is none of them."""
        return next((one.tags for one in self.all() if one.arn == arn), None)


N = TypeVar("N", bound=Named)


def listed(
    items: Iterable[N],
    asked: dict[str, Any],
    key: str,
    orders: dict[str, Callable[[N], Any]] | None = None,
) -> dict[str, Any]:
    """Answer a list request: what it asks for, in its order, a page of it."""
    ways: dict[str, Callable[[N], Any]] = {
        "CreationTime": lambda one: (one.created, one.name),
        "Name": lambda one: one.name,
        **(orders or {}),
    }
    found = [
        one
        for one in items
        if asked.get("NameContains", "").lower() in one.name.lower()
        and asked.get("CreationTimeAfter", float("-inf")) <= one.created.timestamp()
        and asked.get("CreationTimeBefore", float("inf")) >= one.created.timestamp()
    ]
    # AWS's lists of hosting begin with what is newest, unless asked otherwise.
    found.sort(
        key=ways[asked.get("SortBy", "CreationTime")],
        reverse=asked.get("SortOrder", "Descending") == "Descending",
    )
    answer = page(found, asked, key, 10)
    answer[key] = [one.summary() for one in answer[key]]
    return answer


def tags_in(request: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
