"""What a request asks for: service, operation and parameters, read from the request itself."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qs

from lensa.testing.models import protocol, service_model

Environ = dict[str, Any]
Source = Literal["client", "container", "platform"]

# Credentials tell the twin who asks. Faults and records are about what clients do.
PLATFORM_KEY = "ASIATWINPLATFORM"
CONTAINER_KEY = "ASIATWINCONTAINER"
_SOURCES: dict[str, Source] = {PLATFORM_KEY: "platform", CONTAINER_KEY: "container"}

_PLAIN = {"CONTENT_LENGTH", "CONTENT_TYPE"}  # headers without HTTP_ in WSGI
_CREDENTIAL = re.compile(r"([^/\s=]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_SERVICES = {"servicequotas": "service-quotas", "monitoring": "cloudwatch"}


@dataclass(frozen=True)
class Call:
    """One request: who asked for what."""

    service: str  # as in boto3.client(service)
    operation: str  # as in the API: CreateTrainingJob; "" if it was not recognised
    parameters: dict[str, Any] = field(default_factory=dict)
    region: str = "us-east-1"
    source: Source = "client"


def recognise(environ: Environ) -> Call:
    """Read a request. Its body is still there for whoever answers it."""
    query = {
        key: values[-1]
        for key, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()
    }
    scope = environ.get("HTTP_AUTHORIZATION") or query.get("X-Amz-Credential", "")
    match = _CREDENTIAL.search(scope)
    key, region, signer = match.groups() if match else ("", "us-east-1", "s3")
    service = _SERVICES.get(signer, signer)
    if service == "sagemaker" and environ["PATH_INFO"].startswith("/endpoints/"):
        service = "sagemaker-runtime"
    source = _SOURCES.get(key, "client")
    kind = protocol(service)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        operation, parameters = target.rpartition(".")[2], _json(body(environ))
    elif kind in {"query", "ec2"} and environ["REQUEST_METHOD"] == "POST":
        form = parse_qs(body(environ).decode(errors="replace"), keep_blank_values=True)
        parameters = {name: values[-1] for name, values in form.items()}
        operation = parameters.pop("Action", "")
        parameters.pop("Version", None)
    else:
        operation, parameters = _route(service, environ, query)
        if kind == "rest-json" and service != "sagemaker-runtime":
            parameters |= _json(body(environ))
        if service == "sagemaker-runtime":
            parameters["Body"] = body(environ)
    return Call(service, operation, parameters, region, source)


def body(environ: Environ) -> bytes:
    """Read the body and put it back."""
    stream = environ["wsgi.input"]
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        content: bytes = stream.read()
    else:
        content = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(content)
    return content


def _json(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class _Route:
    operation: str
    method: str
    path: re.Pattern[str]
    literal: dict[str, str]  # query that has to be there: ?uploads, ?list-type=2
    needed: frozenset[tuple[str, str]]  # parameters that have to be there: (location, name)
    members: dict[tuple[str, str], str]  # (location, name on the wire) -> name in the API
    rank: tuple[int, int]


def _route(service: str, environ: Environ, query: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Find the operation of a REST request: the one that asks for most of what is there."""
    path = environ.get("PATH_INFO", "/").encode("latin-1").decode("utf-8", "replace")
    for route in _routes(service):
        match = route.path.fullmatch(path)
        if match is None or route.method != environ["REQUEST_METHOD"]:
            continue
        if any(query.get(key) != value for key, value in route.literal.items()):
            continue
        found: dict[str, Any] = {k: v for k, v in match.groupdict().items() if v is not None}
        for (location, name), member in route.members.items():
            if location == "querystring" and name in query:
                found[member] = query[name]
            elif location == "header":
                key = name.upper().replace("-", "_")
                value = environ.get(key if key in _PLAIN else f"HTTP_{key}")
                if value is not None:
                    found[member] = value
        if all(route.members[where] in found for where in route.needed):
            return route.operation, found
    return "", {}


@cache
def _routes(service: str) -> list[_Route]:
    model = service_model(service)
    routes = []
    for name in model.operation_names if model is not None else []:
        operation = model.operation_model(name)
        uri = operation.http.get("requestUri", "")
        if operation.deprecated or not uri:
            continue
        path, _, literal = uri.partition("?")
        shape = operation.input_shape
        members = {
            (member.serialization["location"], member.serialization.get("name", key)): key
            for key, member in (shape.members.items() if shape else [])
            if member.serialization.get("location") in {"querystring", "header"}
        }
        required = set(shape.required_members if shape else [])
        needed = frozenset(where for where, key in members.items() if key in required)
        wanted = {key: values[-1] for key, values in parse_qs(literal, True).items()}
        pattern = "".join(
            f"(?P<{part[1:-1].rstrip('+')}>{'.+' if part.endswith('+}') else '[^/]+'})"
            if part.startswith("{")
            else re.escape(part)
            for part in re.split(r"(\{[^}]+\})", path.rstrip("/"))
        )
        rank = (len(wanted) + len(needed), len(path.split("{")[0]) + path.count("/"))
        routes.append(
            _Route(
                name,
                operation.http["method"],
                re.compile(pattern + "/?"),
                wanted,
                needed,
                members,
                rank,
            )
        )
    return sorted(routes, key=lambda route: route.rank, reverse=True)
