"""The HTTP server: our answers in front, moto behind."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import ThreadedWSGIServer

from lensa.testing.answers import Answer, AwsError, error, result
from lensa.testing.buckets import check_key, check_owners
from lensa.testing.faults import Faults
from lensa.testing.models import protocol
from lensa.testing.operations import Call, Environ, body, recognise
from lensa.testing.shapes import check_input

Handler = Callable[[Call], dict[str, Any] | Answer | None]
"""Answers an operation; None leaves it to moto. Raises AwsError."""

_REASONS = {
    200: "OK",
    202: "Accepted",
    301: "Moved Permanently",
    400: "Bad Request",
    403: "Forbidden",
}
_CHECKED = {  # moto checks next to nothing of these
    "application-autoscaling",
    "pricing",
    "sagemaker",
    "sagemaker-runtime",
    "scheduler",
    "service-quotas",
}


class Gateway:
    """The WSGI application: records, refuses, answers, or hands on to moto."""

    def __init__(self, handlers: dict[tuple[str, str], Handler], faults: Faults) -> None:
        self.calls: list[Call] = []
        self._handlers, self._faults = handlers, faults
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        call = recognise(environ)
        try:
            answer = self._answer(call)
        except AwsError as problem:
            answer = error(
                protocol(call.service), problem, head=environ["REQUEST_METHOD"] == "HEAD"
            )
        except Exception:
            failure = AwsError("InternalFailure", traceback.format_exc())
            answer = error(protocol(call.service), failure)
        if answer is None:
            moto: Iterable[bytes] = self._moto(environ, start_response)
            return moto
        body(environ)  # a client that is still sending would not read the answer
        reason = _REASONS.get(answer.status, "Error")
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        start_response(f"{answer.status} {reason}", list(headers.items()))
        return [answer.body]

    def _answer(self, call: Call) -> Answer | None:
        if call.source == "platform":
            check_key(call)
            return None
        self.calls.append(call)
        if call.source == "client" and (problem := self._faults.refusal(call)):
            raise problem
        if call.service == "s3":
            check_owners(call, self._faults)
            check_key(call)
            return None
        if call.service in _CHECKED:
            check_input(call.service, call.operation, call.parameters)
        handler = self._handlers.get((call.service, call.operation))
        value = handler(call) if handler is not None else None
        return value if value is None or isinstance(value, Answer) else result(value)


class _Requests(MotoRequestHandler):
    """Says nothing: a test's output is the test's."""

    timeout = 10.0  # seconds of silence; a client that hangs must not keep the server open

    def log(self, type: str, message: str, *args: Any) -> None:
        """Drop it."""


class _Server(ThreadedWSGIServer):
    # Closing the server waits for the requests that are being answered.
    daemon_threads = False
    block_on_close = True


class Server:
    """Serves the gateway on 127.0.0.1, in a thread."""

    def __init__(self, gateway: Gateway, port: int = 0) -> None:
        self._server = _Server("127.0.0.1", port, gateway, _Requests)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="twin-server",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
