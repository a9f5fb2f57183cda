"""A Hugging Face Hub on a loopback port: as much of it as downloading a repository takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "c0ffee" + "0" * 34


class FakeHub:
    """Repositories by id, each a folder, or the error that the hub answers with."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.errors: dict[str, tuple[int, str]] = {}  # status, X-Error-Code
        self.fetched: list[str] = []  # paths of files that were read, not only asked about
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.split("?")[0].strip("/")
        api = path.startswith("api/models/")
        repo = "/".join(path.removeprefix("api/models/").split("/")[:2])
        rest = path.removeprefix("api/models/").split("/")[2:]
        if repo in self.errors or repo not in self.folders:
            status, code = self.errors.get(repo, (401, "RepoNotFound"))
            return _send(handler, status, b"", {"X-Error-Code": code})
        revision = rest[1] if len(rest) > 1 else "main"
        if revision not in ("main", COMMIT):
            return _send(handler, 404, b"", {"X-Error-Code": "RevisionNotFound"})
        folder = self.folders[repo]
        names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
        if api and rest[:1] == ["tree"]:
            return _send(handler, 404, b"", {"X-Error-Code": "EntryNotFound"})  # no folder of it
        if api:
            siblings = [{"rfilename": name} for name in names]
            body: dict[str, Any] = {"id": repo, "sha": COMMIT, "siblings": siblings, "tags": []}
            return _send(handler, 200, json.dumps(body).encode(), {})
        name = "/".join(rest[2:])
        if name not in names:
            return _send(handler, 404, b"", {"X-Error-Code": "EntryNotFound"})
        content = (folder / name).read_bytes()
        if handler.command == "GET":
            self.fetched.append(name)
        etag = hashlib.sha256(content).hexdigest()
        return _send(handler, 200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Any) -> None:
    handler.send_response(status)
    for key, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(key, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@contextmanager
def fake_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Run a hub, and make the libraries take it for the real one, with an empty cache."""
    import huggingface_hub
    from huggingface_hub import constants

    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.url)
    try:
        yield hub
    finally:
        huggingface_hub.close_session()
        server.shutdown()
        server.server_close()
