"""The HTTP face in OpenAPI 3.1, generated from the contract:

    python -m inference_entrypoint.openapi > openapi.json

What crosses is described by the pydantic models that check it, so that the two cannot drift apart.
Fields that do not fit together (`GenerationRequest.check`) are beyond JSON Schema: such a request
is valid here and is answered 400.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from lensa.contract import GenerationRequest, GenerationResponse

Schema = dict[str, Any]

VERSION = "1"  # of the interface, not of the package
JSON = "application/json"
IMAGES = ("image/png", "image/jpeg", "image/webp")
EVENTS = "text/event-stream"
METRICS = "text/plain"

EXAMPLES: dict[str, Schema] = {
    "one image": {"prompt": "as an astronaut, oil painting", "seed": 7},
    "variations": {"prompt": "me in a castle", "count": 4, "quality": "draft"},
    "everything by hand": {
        "prompt": "as a pirate, (red coat:1.3)",
        "negative_prompt": "blurry",
        "steps": 20,
        "scheduler": "dpm++-karras",
        "guidance_scale": 7.5,
        "seed": 1,
        "format": "webp",
    },
}

DEADLINE = "X-Lensa-Deadline"
TOKEN = {"security": [{}, {"token": []}]}  # asked for only where the server was given one

ERRORS = {
    400: "The request is wrong; the message names every field and what to change.",
    401: "The server wants its token.",
    403: "A page of another site asks.",
    408: "The request did not arrive in time.",
    413: "The body, or what was asked for, is larger than what can be carried.",
    415: "The body is not JSON, or it is compressed.",
    500: "It cannot be answered, and that is the server's fault; its log has the request's id.",
    503: "Busy, still loading, or shutting down: come back after as many seconds as it says.",
}
# HTTP itself went wrong, somebody asks who must not, or the server is too busy for it.
AT_ANY_PATH = (400, 403, 408, 413, 500, 503)


def openapi() -> Schema:
    """Return the description, as what becomes JSON."""
    _, found = models_json_schema(
        [(GenerationRequest, "validation"), (GenerationResponse, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    models = {name: _closed(schema) for name, schema in found["$defs"].items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lensa",
            "version": VERSION,
            "description": "Images of an avatar, for a prompt.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/ping": {"get": _ping()},
            "/invocations": {"post": _invocations()},
            "/metrics": {
                "get": _text("metrics", "Figures for Prometheus.", METRICS, "string", 401) | TOKEN
            },
            "/openapi.json": {"get": _text("openapi", "This description.", JSON, "object")},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**models, "Error": ERROR, "Ready": READY, "Loading": LOADING},
            "headers": {"X-Request-Id": REQUEST_ID, "Retry-After": RETRY_AFTER},
        },
    }


def _invocations() -> Schema:
    image: Schema = {media: {"schema": {}} for media in IMAGES}
    answer = {"schema": _ref("GenerationResponse")}
    examples = {name: {"value": value} for name, value in EXAMPLES.items()}
    return {
        "operationId": "generate",
        "summary": "Draw images.",
        "description": (
            "`Accept` chooses the answer: JSON with every image in it, one image alone (then "
            "`count` is 1), or events while it is drawn: the schema is that of one event, of which "
            "`answer` or `error` is the last. An answer is under 6 MB."
        ),
        **TOKEN,
        "parameters": [DEADLINE_PARAMETER],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": _ref("GenerationRequest"), "examples": examples}},
        },
        "responses": {
            "200": {
                "description": "The images.",
                "headers": {
                    **_headers("X-Request-Id"),
                    # These tell of an image alone what JSON would.
                    "X-Lensa-Seed": {"schema": {"type": "string", "pattern": "^[0-9]+$"}},
                    "X-Lensa-Unsafe": {"schema": {"type": "string", "enum": ["true"]}},
                    "X-Lensa-Warnings": {"schema": {"type": "string"}},
                },
                "content": {JSON: answer, **image, EVENTS: {"schema": _event()}},
            },
            **_errors(*ERRORS),
        },
    }


def _event() -> Schema:
    """Return what one event of a stream is: its name, and data that are JSON in a string."""
    step = {
        "type": "object",
        "properties": {name: {"type": "integer", "minimum": 0} for name in ("done", "of")},
        "required": ["done", "of"],
        "additionalProperties": False,
    }
    kinds = {
        "begun": {"type": "object", "maxProperties": 0},
        "step": step,
        "image": _ref("GeneratedImage"),
        "answer": _ref("GenerationResponse"),
        "error": _ref("Error"),
    }
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "event": {"const": name},
                    "data": {
                        "type": "string",
                        "contentMediaType": JSON,
                        "contentSchema": content,
                    },
                },
                "required": ["event", "data"],
            }
            for name, content in kinds.items()
        ]
    }


def _ping() -> Schema:
    response = {
        "description": "An image can be made.",
        "headers": _headers("X-Request-Id"),
        "content": {JSON: {"schema": _ref("Ready")}},
    }
    refused = _errors(*AT_ANY_PATH)
    either = {"anyOf": [_ref("Loading"), _ref("Error")]}
    refused["503"]["content"] = {JSON: {"schema": either}}
    return {
        "operationId": "ping",
        "summary": "Can an image be made?",
        "responses": {"200": response, **refused},
    }


def _text(name: str, summary: str, media: str, kind: str, *statuses: int) -> Schema:
    response = {
        "description": summary,
        "headers": _headers("X-Request-Id"),
        "content": {media: {"schema": {"type": kind}}},
    }
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": response, **_errors(*AT_ANY_PATH, *statuses)},
    }


def _errors(*statuses: int) -> Schema:
    return {
        str(status): {
            "description": ERRORS[status],
            "headers": _headers("X-Request-Id", *(["Retry-After"] if status == 503 else [])),
            "content": {JSON: {"schema": _ref("Error")}},
        }
        for status in statuses
    }


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _closed(schema: Schema) -> Schema:
    """Say of maps what pydantic leaves unsaid: keys that do not match their pattern are refused."""
    for field in schema["properties"].values():
        if "patternProperties" in field:
            field["additionalProperties"] = False
    return schema


ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "minLength": 1},
                "message": {"type": "string", "minLength": 1},
            },
            "required": ["type", "message"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
READY: Schema = {
    "type": "object",
    "properties": {"status": {"const": "ready"}, "avatar": {"type": "string"}},
    "required": ["status", "avatar"],
}
LOADING: Schema = {
    "type": "object",
    "properties": {"status": {"const": "loading"}},
    "required": ["status"],
}
DEADLINE_PARAMETER: Schema = {
    "name": DEADLINE,
    "in": "header",
    "description": (
        "Seconds from the request's arrival to its answer, if that is less than the server gives. "
        "What is done by then is the answer, and it says that it is partial."
    ),
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
REQUEST_ID: Schema = {
    "description": "What the server's log calls this request.",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}
RETRY_AFTER: Schema = {
    "description": "Seconds.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}


if __name__ == "__main__":
    print(json.dumps(openapi(), indent=2))
