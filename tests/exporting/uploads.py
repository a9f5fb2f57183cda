"""A Hugging Face Hub on a loopback port: as much of it as pushing to a repository takes. It keeps
what huggingface_hub's own client uploads.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_writes"


@dataclass
class Stored:
    """A repository."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)  # what its model card says, as the hub does
    commits: int = 0


class UploadHub:
    def __init__(self) -> None:
        self.repositories: dict[str, Stored] = {}
        self.read_only: set[str] = set()  # owners that the token may not write to
        self.broken = False  # every upload fails
        self.url = ""
        self._objects: dict[str, bytes] = {}  # sha256 -> content

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any]:
        """Return (status, JSON) as the hub does."""
        if path.startswith("/objects/") and method == "PUT":
            self._objects[path.removeprefix("/objects/")] = body
            return 200, {}
        if token not in ("", TOKEN):
            return 401, {"error": "Invalid credentials in Authorization header"}
        if path == "/api/whoami-v2":
            return (200, {"name": "ada"}) if token else (401, {"error": "no token"})
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        owner, name, *rest = path.removeprefix("/api/models").strip("/").split("/")
        repo = f"{owner}/{name.removesuffix('.git')}"
        stored = self.repositories.get(repo)
        if stored is None or (stored.private and not token):
            return 404, {"error": "Repository not found"}
        if not rest:
            said = {"id": repo, "private": stored.private, "cardData": stored.card}
            return 200, {**said, "siblings": [], "tags": []}
        if self.broken:
            return 500, {"error": "out of order"}
        if rest[0] == "preupload":
            files = json.loads(body)["files"]
            return 200, {"files": [self._mode(file["path"]) for file in files]}
        if rest[-2:] == ["objects", "batch"]:
            return 200, self._batch(json.loads(body)["objects"])
        if rest[0] == "commit":
            self._commit(stored, body)
            url = f"{self.url}/{repo}/commit/{'0' * 40}"
            return 200, {"commitUrl": url, "commitOid": "0" * 40, "success": True}
        return 404, {"error": path}

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        owner = asked.get("organization") or "ada"
        if owner in self.read_only:
            return 403, {"error": f"You don't have the rights to create a model under {owner}"}
        repo = f"{owner}/{asked['name']}"
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.repositories[repo] = Stored(private)
        return 200, {"url": f"{self.url}/{repo}"}

    def _mode(self, path: str) -> dict[str, Any]:
        mode = "lfs" if path.endswith(".safetensors") else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False}

    def _batch(self, objects: list[dict[str, Any]]) -> dict[str, Any]:
        def upload(item: dict[str, Any]) -> dict[str, Any]:
            href = f"{self.url}/objects/{item['oid']}"
            return {**item, "actions": {"upload": {"href": href}}}

        return {"transfer": "basic", "objects": [upload(item) for item in objects]}

    def _commit(self, stored: Stored, body: bytes) -> None:
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                stored.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                stored.files[value["path"]] = self._objects[value["oid"]]
        stored.commits += 1


@contextmanager
def upload_hub() -> Iterator[UploadHub]:
    hub = UploadHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, said = hub.answer(self.command, urlsplit(self.path).path, token, body)
            content = json.dumps(said).encode()
            self.send_response(status)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do

        def _chunk(self) -> bytes:
            size = int(self.rfile.readline(), 16)
            content = self.rfile.read(size)
            self.rfile.readline()
            return content

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
