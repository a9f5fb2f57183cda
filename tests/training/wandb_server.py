"""As much of a W&B server as a run needs: GraphQL, the stream of its files, their upload."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4


class WandbServer(ThreadingHTTPServer):
    """Keeps all that it is sent. `silent`: it answers nothing any more."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.silent_after_begin = False
        self.bodies: list[bytes] = []
        self.uploaded: dict[str, bytes] = {}
        self.rows: list[dict[str, Any]] = []  # of the history, as they came
        self._never = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def variables(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    def graphql(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        if name == "UpsertBucket":
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "e"}}
            run = {"id": "r", "name": variables["name"], "displayName": variables["name"],
                   "config": "{}", "historyLineCount": 0, "project": project}  # fmt: skip
            return {"upsertBucket": {"bucket": run, "inserted": True}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.url}/up/{file}"}
                     for file in variables["files"]]  # fmt: skip
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        return {}

    def take(self, content: bytes) -> None:
        """Take in a part of the stream."""
        if self.silent_after_begin:
            self._never.wait(100)
        history = json.loads(content).get("files", {}).get("wandb-history.jsonl", {})
        self.rows += [json.loads(row) for row in history.get("content", [])]


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer

    def log_message(self, *arguments: Any) -> None:
        pass

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append(body)
        return body

    def _answer(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/graphql":
            query = json.loads(body)
            self._answer({"data": self.server.graphql(query["operationName"], query["variables"])})
            return
        if self.path.endswith("/file_stream"):
            self.server.take(body)
        self._answer({})

    def do_PUT(self) -> None:
        self.server.uploaded[self.path.removeprefix("/up/")] = self._body()
        self._answer({})


@contextmanager
def serving() -> Iterator[WandbServer]:
    server = WandbServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
