"""What stands in for AWS's Hugging Face inference image: `python hugging_face_image.py`.

It answers as multi-model-server with the Hugging Face inference toolkit does, as far as a client or
a handler can tell: /ping is 200 as soon as the port is open; the handlers of code/inference.py in
the model folder are called one request at a time; behind it wait as many as MMS_JOB_QUEUE_SIZE
says, and then it is 503; whatever a handler raises is a 400 with its text; a handler sets another
status through the context. Nothing is installed from requirements, and no default pipeline is made.

A process of its own that needs the standard library alone: it has to be light, and a model has to
find its own packages, not the twin's.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import queue
import sys
import threading
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST = 6_553_500  # bytes of a request, and of an answer, unless MMS_MAX_..._SIZE says otherwise
UTF8_TYPES = ("application/json", "text/csv")  # of these a handler gets text
JSON = "application/json"


class Failure(Exception):
    """What the server itself answers: a status and its text."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message

    def body(self) -> bytes:
        said = {"code": self.status, "type": self.kind, "message": self.message}
        return json.dumps(said, indent=2).encode()


class Metrics:
    """Takes times, and drops them."""

    def add_time(self, name: str, value: float, *_: Any, **__: Any) -> None:
        """Drop it."""


class Context:
    """What a handler gets beside its arguments: one request's headers, and its answer's."""

    def __init__(self, model: Path, headers: dict[str, str], request_id: str) -> None:
        self.model_name, self.metrics = "model", Metrics()
        self.manifest: dict[str, Any] = {}
        self.system_properties = {
            "model_dir": str(model),
            "gpu_id": None,
            "batch_size": 1,
            "server_name": "MMS",
            "server_version": "1.1.11",
        }
        self.request_ids = {0: request_id}
        self._headers = headers
        self.status = 200
        self.answered: dict[str, str] = {}

    def get_request_id(self, idx: int = 0) -> str | None:
        return self.request_ids.get(idx)

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self._headers

    def get_request_header(self, idx: int, key: str) -> str | None:
        return self._headers.get(key)

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.status = code

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.answered[key] = value

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.set_response_header(idx, "content-type", value)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        return self.answered

    def content_type(self) -> str:
        # The last spelling wins, in the order in which the server keeps them.
        return self.answered.get("Content-Type") or self.answered.get("content-type") or JSON


class Handlers:
    """The functions of the model's inference.py. The worker's thread alone touches them."""

    def __init__(self, model: Path) -> None:
        self._model_dir = model
        self._functions: dict[str, Any] = {}
        self._model: Any = None
        self._loaded = False

    def load(self) -> None:
        """Import the module and load the model, if that has not been done yet."""
        if self._loaded:
            return
        code = str(self._model_dir / "code")
        if code not in sys.path:
            sys.path.insert(0, code)
        program = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
        module = importlib.import_module(program.removesuffix(".py"))
        names = ("model_fn", "input_fn", "predict_fn", "output_fn")
        missing = [name for name in names if not hasattr(module, name)]
        if missing:
            raise ValueError(
                f"lensa.testing has no default handlers: {program} lacks {', '.join(missing)}"
            )
        self._functions = {name: getattr(module, name) for name in names}
        context = Context(self._model_dir, {}, "")
        self._model = self._call("model_fn", context, str(self._model_dir))
        self._loaded = True

    def forget(self) -> None:
        """Load again for the next request, as a new worker does."""
        self._loaded = False

    def handle(self, body: bytes, context: Context) -> bytes:
        """Return the body of the answer; its status and type are in the context."""
        self.load()
        headers = context.get_all_request_header(0)
        spelled = {name.lower(): value for name, value in headers.items()}
        content_type = spelled.get("content-type", JSON)
        accept = headers.get("Accept") or headers.get("accept")
        if not accept or accept == "*/*":
            accept = JSON
        content: bytes | str = body.decode() if content_type in UTF8_TYPES else body
        request = self._call("input_fn", context, content, content_type)
        prediction = self._call("predict_fn", context, request, self._model)
        answer = self._call("output_fn", context, prediction, accept)
        context.set_response_content_type(0, accept)
        return answer.encode() if isinstance(answer, str) else bytes(answer)

    def _call(self, name: str, context: Context, *arguments: Any) -> Any:
        function = self._functions[name]
        takes_context = len(inspect.signature(function).parameters) > len(arguments)
        return function(*arguments, *([context] if takes_context else []))


class Job:
    """A request that waits for its answer."""

    def __init__(self, body: bytes, context: Context) -> None:
        self.body, self.context = body, context
        self.answer: bytes | Failure = b""
        self.done = threading.Event()


class Worker:
    """Answers one request after the other, in the order in which they came."""

    def __init__(self, model: Path, waiting: int, most: int) -> None:
        """`waiting`: requests behind the one that is answered; `most`: bytes of an answer."""
        self._handlers, self._most = Handlers(model), most
        # The one that is being answered is not in the queue.
        self._jobs: queue.Queue[Job] = queue.Queue(waiting)
        threading.Thread(target=self._run, daemon=True).start()

    def answer(self, job: Job) -> bytes:
        """Wait for the answer. Raises Failure."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            message = "No worker is available to serve request: model"
            raise Failure(503, "ServiceUnavailableException", message) from None
        job.done.wait()
        if isinstance(job.answer, Failure):
            raise job.answer
        return job.answer

    def _run(self) -> None:
        try:
            self._handlers.load()
        except BaseException:
            traceback.print_exc()  # the next request tries again
        while True:
            job = self._jobs.get()
            try:
                job.answer = self._handlers.handle(job.body, job.context)
                if len(job.answer) > self._most:
                    self._handlers.forget()
                    job.answer = Failure(500, "InternalServerException", "Worker died.")
            except BaseException as error:
                traceback.print_exc()
                job.answer = Failure(400, "InternalServerException", str(error))
            job.done.set()


class Requests(BaseHTTPRequestHandler):
    """HTTP, as the server has it."""

    protocol_version = "HTTP/1.1"
    worker: Worker
    model: Path
    most = MOST

    def do_GET(self) -> None:
        if self.path == "/ping":
            headers = {"content-type": JSON, "x-request-id": str(uuid.uuid4())}
            self._send(200, b'{\n  "status": "Healthy"\n}\n', headers)
        else:
            self._not_found()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > self.most:
            self.close_connection = True
            self._send(413, b"", {})
            return
        body = self.rfile.read(length)
        if self.path not in {"/invocations", "/predictions/model"}:
            self._not_found()
            return
        context = Context(self.model, dict(self.headers.items()), str(uuid.uuid4()))
        try:
            answer = self.worker.answer(Job(body, context))
        except Failure as failure:
            self._fail(failure, context.request_ids[0])
            return
        headers = {
            name: value
            for name, value in context.answered.items()
            if name.lower() not in {"content-type", "content-length"}
        }
        headers |= {"content-type": context.content_type()}
        headers["x-request-id"] = context.request_ids[0]
        self._send(context.status, answer, headers)

    def _not_found(self) -> None:
        words = "Requested resource is not found, please refer to API document."
        self._fail(Failure(404, "ResourceNotFoundException", words), str(uuid.uuid4()))

    def _fail(self, failure: Failure, request_id: str) -> None:
        headers = {"content-type": JSON, "x-request-id": request_id}
        self._send(failure.status, failure.body(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the log is the model's."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _number(variable: str, otherwise: int) -> int:
    return int(os.environ.get(variable) or otherwise)


def main() -> None:
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    Requests.model = base / "model"
    Requests.most = _number("MMS_MAX_REQUEST_SIZE", MOST)
    Requests.worker = Worker(
        Requests.model,
        waiting=_number("MMS_JOB_QUEUE_SIZE", 100),
        most=_number("MMS_MAX_RESPONSE_SIZE", MOST),
    )
    port = _number("SAGEMAKER_BIND_TO_PORT", 8080)
    Server(("127.0.0.1", port), Requests).serve_forever()


if __name__ == "__main__":
    main()
