"""The local endpoint: the serving entrypoint as a child process on a loopback port."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from lensa.backends.base import LOOPBACK
from lensa.backends.local.asking import HttpServer
from lensa.backends.local.children import child_environment, entrypoint
from lensa.contract.environment import SERVE_TOKEN
from lensa.errors import BusyError, EndpointError

_START_SECONDS = 600  # a full-size base from a slow disk
_STOP_SECONDS = 15


class LocalServer(HttpServer):
    """A server process. Its stdin is a pipe from us: when we die, however, it reads the end of it
    and goes too."""

    def __init__(
        self,
        models: Sequence[Path],
        *,
        port: int | None = None,
        host: str = LOOPBACK[0],
        token: str | None = None,
        show_log: bool = False,
    ) -> None:
        """`show_log`: on our own stderr; else it is kept, to say why a start failed."""
        token = token or os.environ.get(SERVE_TOKEN) or None
        super().__init__("", token)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        self._process = subprocess.Popen(
            entrypoint(
                "inference_entrypoint.server",
                *(word for model in models for word in ("--model-dir", str(model))),
                *("--port", str(port or 0)),
                *("--host", host),
                "--parent-pipe",
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if show_log else self._log,
            env=child_environment(models[0].parent, **({SERVE_TOKEN: token} if token else {})),
            start_new_session=True,  # Ctrl-C is the client's to handle
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            self.url = f"http://{_near(host)}:{self._announced_port(deadline)}"
            self._await_ping(deadline)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> None:
        return None

    @property
    def shelf(self) -> None:
        return None

    def end(self) -> None:
        return None

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def _announced_port(self, deadline: float) -> int:
        """Read stdout up to the line that says which port it listens on."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        buffer = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if not selector.select(timeout=0.2):
                    continue
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    break
                buffer += chunk
                for line in buffer.split(b"\n")[:-1]:
                    message = _json(line)
                    if message.get("event") == "listening":
                        return int(message["port"])
                    if message.get("event") == "failed":
                        raise self._failure(str(message.get("message")))
        raise self._failure("")

    def _await_ping(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/ping", timeout=5) as answer:  # noqa: S310
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    message = _json(error.read()).get("error", {})
                    raise self._failure(str(message.get("message", ""))) from None
            except OSError:
                pass
            if not self.alive():
                raise self._failure("")
            time.sleep(0.05)
        raise EndpointError(f"the endpoint did not become healthy in {_START_SECONDS} s.")

    def _failure(self, message: str) -> Exception:
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            code = None
        if not message:
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            message = lines[-1] if lines else f"it ended with code {code} and said nothing"
        kind = BusyError if code == 2 else EndpointError
        return kind(f"the endpoint did not start: {message}")


def _near(host: str) -> str:
    """Return the name by which this machine reaches a server of its own."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address
    return f"[{host}]" if ":" in host else host


def _json(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
