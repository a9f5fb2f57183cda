"""Answers in AWS's protocols: JSON results, and errors as each kind of service words them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

# Statuses that are not 400. Services of the JSON protocols answer 400 for nearly everything.
_STATUS = {
    "InternalDependencyException": 530,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "ModelError": 424,
    "ModelNotReadyException": 429,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "SlowDown": 503,
}
_XML_STATUS = {
    "AccessDenied": 403,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "InvalidAccessKeyId": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "PermanentRedirect": 301,
    "SignatureDoesNotMatch": 403,
}
_QUERY_STATUS = {"ExpiredToken": 403}


class AwsError(Exception):
    """An error that AWS answers with: its code, its text and, if not the usual one, its status.

    `details` are members of its own, which services of the JSON protocols send beside the text.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.details = dict(details or {})


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def result(value: Mapping[str, Any]) -> Answer:
    """Answer as a service of the JSON protocol: times are seconds since 1970."""
    body = json.dumps(value, default=_plain).encode()
    return Answer(200, body, {"Content-Type": "application/x-amz-json-1.1", **_request_id()})


def error(protocol: str, problem: AwsError, *, head: bool = False) -> Answer:
    """Word an error as services of that protocol do. An answer to HEAD has no body."""
    code, message = problem.code, problem.message
    status = problem.status or _STATUS.get(code, 400)
    if protocol == "rest-xml":
        status = problem.status or _XML_STATUS.get(code, status)
        xml = (
            f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
            f"<RequestId>{uuid.uuid4()}</RequestId></Error>"
        )
    elif protocol in {"query", "ec2"}:
        status = problem.status or _QUERY_STATUS.get(code, _XML_STATUS.get(code, status))
        xml = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error>"
            f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        )
    else:
        body = json.dumps({"__type": code, "message": message, **problem.details}).encode()
        kind = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
        return Answer(status, body, {**kind, **_request_id()})
    document = b'<?xml version="1.0" encoding="UTF-8"?>' + xml.encode()
    headers = {"Content-Type": "application/xml", **_request_id()}
    return Answer(status, b"" if head else document, headers)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} does not go into an answer")


def _request_id() -> dict[str, str]:
    request_id = str(uuid.uuid4())
    return {"x-amzn-RequestId": request_id, "x-amz-request-id": request_id}
