"""The schema and the server say the same: asked of the running server, with what the schema makes.

Schemathesis draws requests that the schema allows and requests that it forbids, and holds every
answer against what the schema says of it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from many import id_of, numbered
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from serving import Server, ready

from inference_entrypoint.openapi import DEADLINE, EXAMPLES, openapi
from lensa.contract import GenerationRequest

PATHS = {"/ping": "GET", "/invocations": "POST", "/metrics": "GET", "/openapi.json": "GET"}
ACCEPT = ("application/json", "image/png", "image/jpeg", "image/webp", "text/event-stream")
MOST = {"steps": 2, "width": 64, "height": 64, "count": 2}  # what a CPU draws in no time
EXAMPLES_EACH = 20
NAMES = tuple(id_of(number) for number in range(2))
DOT = (  # 16 pixels of grey, squared
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGUlEQVR4nGNsaGhgIAUwkaR6VMOohiGlAQDJTAGg"
    "LgFHggAAAABJRU5ErkJggg=="
)


def test_it_is_openapi_3_1() -> None:
    OPENAPI_31_VALIDATOR.validate(openapi())
    assert json.loads(json.dumps(openapi())) == openapi()


def test_its_examples_are_requests() -> None:
    for example in EXAMPLES.values():
        GenerationRequest.model_validate(example)


def test_every_field_of_a_request_is_in_it() -> None:
    described = openapi()["components"]["schemas"]["GenerationRequest"]
    assert set(described["properties"]) == set(GenerationRequest.model_fields)
    assert described["additionalProperties"] is False


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("container")
    for number, name in enumerate(NAMES):
        numbered(folder / "model" / name, number)
    with Server(folder, "--port", "0") as server:
        with server.client() as client:
            assert ready(client).status_code == 200
            yield client
        server.process.terminate()
        code, log = server.finish()
    assert code == 0
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def schema(client: httpx.Client) -> schemathesis.BaseSchema:
    """The served one, with what is said in it about this server taken at its word."""
    checks = {
        # What the schema cannot say (fields that do not fit together) is a 400, with its reason.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "400"]},
        "negative_data_rejection": {"expected-statuses": ["400", "405", "413", "415"]},
    }
    config = schemathesis.Config.from_dict(
        {
            "base-url": str(client.base_url),
            "checks": checks,
            "generation": {"database": "none", "deterministic": True},
        }
    )
    return schemathesis.openapi.from_dict(client.get("/openapi.json").json(), config=config)


def test_the_server_serves_it(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json() == openapi()


def modest(body: Any) -> Any:
    """Return a request that is as right or as wrong as it was, but costs little, and names avatars
    and pictures that exist: a name from thin air is refused before anything else is tried."""
    if not isinstance(body, dict):
        return body
    body = {"steps": MOST["steps"], **body}
    if body["steps"] is None:
        body["steps"] = MOST["steps"]
    for field, most in MOST.items():
        if valid(field, body.get(field)) and (body.get(field) or 0) > most:
            body[field] = most
    for name, field in zip(NAMES, ("avatar", "blend"), strict=True):
        if body.get(field) and valid(field, body[field]):
            body[field] = name if field == "avatar" else {name: max(body[field].values())}
    if body.get("image") and valid("image", body["image"]) and len(body["image"]) > 1:
        body["image"] = DOT
    return body


def patient(headers: Any) -> Any:
    """Return headers whose deadline, if it is one, leaves time enough: short ones are a 503."""
    with suppress(ValueError):
        if 0 < float(headers.get(DEADLINE, "x")) < 60:
            headers[DEADLINE] = "60"
    return headers


def valid(field: str, value: Any) -> bool:
    described = openapi()["components"]["schemas"]["GenerationRequest"]["properties"][field]
    return bool(jsonschema_rs.is_valid(described, value))


def ask(
    schema: schemathesis.BaseSchema,
    path: str,
    mode: schemathesis.GenerationMode,
    examples: int,
    accept: str | None = None,
) -> set[int]:
    """Send `examples` requests and check each answer; return the statuses that were seen."""
    seen = set()
    calls = count()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a smaller example of what is wrong would take minutes
    )
    @given(case=schema[path][PATHS[path]].as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        case.body, case.headers = modest(case.body), patient(case.headers)
        chosen = accept or random.Random(next(calls)).choice(ACCEPT)
        answer = case.call_and_validate(headers={"Accept": chosen}, timeout=60)
        assert b"Traceback" not in answer.content
        seen.add(answer.status_code)

    run()
    return seen


@pytest.mark.parametrize("accept", ACCEPT)
def test_what_the_schema_allows(schema: schemathesis.BaseSchema, accept: str) -> None:
    mode = schemathesis.GenerationMode.POSITIVE
    seen = ask(schema, "/invocations", mode, EXAMPLES_EACH, accept)
    assert 200 in seen and seen <= {200, 400}


def test_what_the_schema_forbids(schema: schemathesis.BaseSchema) -> None:
    mode = schemathesis.GenerationMode.NEGATIVE
    seen = ask(schema, "/invocations", mode, 4 * EXAMPLES_EACH)
    assert seen <= {400, 413, 415}


@pytest.mark.parametrize("path", ["/ping", "/metrics", "/openapi.json"])
def test_what_takes_no_request(schema: schemathesis.BaseSchema, path: str) -> None:
    assert ask(schema, path, schemathesis.GenerationMode.POSITIVE, 2) == {200}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_thousands_of_requests(
    schema: schemathesis.BaseSchema, mode: schemathesis.GenerationMode
) -> None:
    ask(schema, "/invocations", mode, 2000)
