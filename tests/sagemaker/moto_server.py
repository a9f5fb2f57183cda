"""moto's AWS over HTTP, in a thread, with a gate in front: it keeps a record of what was asked, and
answers in moto's place what moto cannot (AWS's refusals), so that botocore's own parsing runs."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

OWNER = "123456789012"  # moto's account
STATUS = {200: "OK", 301: "Moved", 307: "Moved", 400: "Bad Request", 403: "Forbidden"}


@dataclass(frozen=True)
class Request:
    """One request, as it came over the wire."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""  # of what is asked of an endpoint; others are not read

    @property
    def call(self) -> str:
        """What S3 calls it, for the calls that tests count."""
        if self.method == "PUT" and self.path.count("/") > 1:
            return "UploadPart" if "uploadId" in self.query else "PutObject"
        if self.method == "POST" and "uploads" in self.query:
            return "CreateMultipartUpload"
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


Rule = Callable[[Request], Answer | None]


class Gate:
    """WSGI in front of moto. `rules` may answer a request, or hold it up; None lets it through."""

    def __init__(self) -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.rules: list[Rule] = []
        self.requests: list[Request] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
            {
                name[5:].lower().replace("_", "-"): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            },
            _asked(environ),
        )
        self.requests.append(request)
        for rule in list(self.rules):
            if (answer := rule(request)) is not None:
                return self._say(answer, environ, start_response)
        return self.app(environ, start_response)

    def _say(self, answer: Answer, environ: Any, start_response: Any) -> list[bytes]:
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body.encode()
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {
            "Content-Type": "application/xml",
            "Content-Length": str(len(body)),
            **answer.headers,
        }
        status = f"{answer.status} {STATUS.get(answer.status, 'Error')}"
        start_response(status, list(headers.items()))
        return [body]

    def calls(self) -> list[str]:
        return [request.call for request in self.requests]

    def reset(self) -> None:
        self.rules.clear()
        self.requests.clear()


def _asked(environ: dict[str, Any]) -> bytes:
    """Read what an endpoint is asked, and put it back."""
    if not environ["PATH_INFO"].startswith("/endpoints/"):
        return b""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    return body


def s3_error(status: int, code: str, message: str = "", **fields: str) -> Answer:
    """An error as S3 writes it."""
    more = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return Answer(
        status,
        f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code>"
        f"<Message>{message}</Message>{more}<RequestId>1</RequestId></Error>",
    )


def query_error(status: int, code: str, message: str = "") -> Answer:
    """An error as STS and IAM write it."""
    return Answer(
        status,
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>",
        {"Content-Type": "text/xml"},
    )


def json_error(status: int, code: str, message: str = "") -> Answer:
    """An error as SageMaker and KMS write it."""
    quoted = message.replace("\\", "\\\\").replace('"', '\\"')
    return Answer(
        status,
        f'{{"__type":"{code}","message":"{quoted}"}}',
        {"Content-Type": "application/x-amz-json-1.1"},
    )


def owned_by(account: str, bucket: str) -> Rule:
    """S3 refuses whoever expects another owner of that bucket, and all that are not its owner."""

    def rule(request: Request) -> Answer | None:
        if request.path.split("/")[1] != bucket:
            return None
        if (
            request.method == "PUT"
            and request.path.rstrip("/") == f"/{bucket}"
            and not request.query
        ):
            return s3_error(
                409,
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by all "
                "users of the system. Please select a different name and try again.",
            )
        if request.headers.get("x-amz-expected-bucket-owner", account) != account:
            return s3_error(403, "AccessDenied", "Access Denied")
        return None

    return rule


@contextmanager
def served(gate: Gate) -> Iterator[str]:
    """Serve it, and yield its address."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, gate, threaded=True, request_handler=MotoRequestHandler)
    server.daemon_threads = True  # a request that a test holds up must not hold up the end
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module", name="moto_address")
def moto_address_fixture() -> Iterator[tuple[Gate, str]]:
    gate = Gate()
    with served(gate) as address:
        yield gate, address


@pytest.fixture(name="gate")
def gate_fixture(
    moto_address: tuple[Gate, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gate]:
    """An empty AWS, and an environment in which boto3 finds that and nothing else."""
    gate, address = moto_address
    nothing = tmp_path_factory.mktemp("aws") / "none"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    gate.reset()
    empty = urllib.request.Request(f"{address}/moto-api/reset", method="POST")
    with urllib.request.urlopen(empty) as answer:
        assert answer.status == 200
    gate.requests.clear()
    yield gate
    gate.reset()


@pytest.fixture(name="no_waiting")
def no_waiting_fixture(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """botocore's waits between attempts take no time; what they would have been is returned."""
    waits: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))
    return waits
