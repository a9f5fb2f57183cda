"""Serve avatars over HTTP:

    python -m inference_entrypoint.server --model-dir AVATAR --port 8080

Without --model-dir it serves the model folder of `$SAGEMAKER_BASE_DIR` (or /opt/ml), and without
--port it listens where `$SAGEMAKER_BIND_TO_PORT` says, or on 8080. Stdout has JSON lines alone:
{"event":"listening","port":8080}, or {"event":"failed","message":...}. The log goes to stderr, as
JSON lines too, and holds no prompts unless `$LENSA_LOG_LEVEL` is debug. With `$LENSA_SERVE_TOKEN`
set, whoever asks has to know it.

This process speaks HTTP and a child of it draws, which is started again if it dies.

Exit codes: 0 after SIGTERM, SIGINT or the end of the parent; 1 if the model cannot be loaded; 2 if
the port is taken or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import uvicorn

from inference_entrypoint.app import Terms, make_app
from inference_entrypoint.engine import Engine
from inference_entrypoint.logs import log_to_stderr
from inference_entrypoint.metrics import Metrics
from inference_entrypoint.protocol import PATIENCE, patient
from lensa.contract import Layout
from lensa.contract.environment import DEADLINE, SERVE_TOKEN

GRACE = 8  # seconds that running requests have when the server is told to go
QUEUE = 32  # requests; in batches of eight, the last one waits as long as people do
BATCH = 8  # images; what a GPU of 24 GB draws at once at 512 px with room to spare
LOOPBACK = ("127.0.0.1", "localhost", "::1")
BIND_TO_PORT = "SAGEMAKER_BIND_TO_PORT"  # where SageMaker asks, if not at 8080
LAST_WORDS = 2.0  # seconds in which /ping still tells why loading failed, and a hurried answer


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    # Libraries print as they like; whoever reads our stdout expects JSON lines alone.
    events, sys.stdout = sys.stdout, sys.stderr
    log_to_stderr()
    try:
        listener = _bind(options.host, options.port)
    except OSError as error:
        _tell(events, event="failed", message=_bind_words(options, error))
        print(_bind_words(options, error), file=sys.stderr)
        return 2
    failures: list[str] = []

    def on_failure(message: str) -> None:
        failures.append(message)
        _tell(events, event="failed", message=message)
        time.sleep(LAST_WORDS)
        server.should_exit = True

    metrics = Metrics()
    engine = Engine(
        options.model_dir or [Layout.here().model],
        on_failure,
        queue=options.queue,
        batch=options.batch,
        metrics=metrics,
    )
    terms = Terms(
        deadline=options.deadline or None,
        token=os.environ.get(SERVE_TOKEN) or None,
        hosts=LOOPBACK if options.host in LOOPBACK else None,
    )
    config = uvicorn.Config(
        make_app(engine, metrics, terms),
        lifespan="off",
        log_config=None,  # its log goes the way of ours
        log_level="warning",
        access_log=False,
        http=patient(options.patience),
        ws="none",
        timeout_graceful_shutdown=options.grace + 4,  # what is abandoned is answered, too
    )
    server = _Server(config, engine, events)
    server.port, server.grace = listener.getsockname()[1], options.grace
    if options.parent_pipe:
        threading.Thread(target=_watch_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])
    for message in failures:  # the last line of the log is the one that is read
        print(message, file=sys.stderr)
    return 1 if failures else 0


class _Server(uvicorn.Server):
    """Says when it listens, and takes a signal as an order, not as a way to die."""

    port: int
    grace: int

    def __init__(self, config: uvicorn.Config, engine: Engine, events: TextIO) -> None:
        super().__init__(config)
        self._engine, self._events = engine, events

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.start()
        await super().startup(sockets)
        if self.started:
            _tell(self._events, event="listening", port=self.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.close()
        loop = asyncio.get_running_loop()
        loop.call_later(self.grace, self._engine.hurry)
        loop.call_later(self.grace + LAST_WORDS, self._engine.end)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again once it has shut down, and the exit code be -15.
        def order(*_: Any) -> None:
            self.force_exit = self.should_exit  # the second time it is meant
            self.should_exit = True

        before = {
            number: signal.signal(number, order) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; the kernel picks the port if it is 0. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Bound is not yet taken for a second socket with SO_REUSEADDR; listening is.
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_words(options: argparse.Namespace, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {options.port} is taken by another program: "
            "stop that one, or choose another port (0 picks a free one)."
        )
    return f"cannot listen on {options.host}, port {options.port}: {error.strerror}."


def _watch_parent(server: uvicorn.Server) -> None:
    """The other end of stdin is our parent's: it closes when that dies, however it dies."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    server.should_exit = True


def _tell(events: TextIO, **event: Any) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more
        print(json.dumps(event, separators=(",", ":")), file=events, flush=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m inference_entrypoint.server", description="Serve an avatar over HTTP."
    )
    parser.add_argument("word", nargs="?", choices=["serve"], help="what SageMaker adds; no effect")
    parser.add_argument(
        "--model-dir",
        type=Path,
        action="append",
        help="an avatar, or a folder of avatars on one base; may be given several times",
    )
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1 unless told otherwise")
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get(BIND_TO_PORT) or "8080",
        help=f"0 picks a free one (${BIND_TO_PORT}, or 8080)",
    )
    parser.add_argument("--parent-pipe", action="store_true", help="end when stdin does")
    parser.add_argument(
        "--queue", type=_count, default=QUEUE, help=f"requests that may wait their turn ({QUEUE})"
    )
    parser.add_argument(
        "--batch", type=_count, default=BATCH, help=f"images drawn at once, at most ({BATCH})"
    )
    parser.add_argument(
        "--deadline",
        type=_seconds,
        default=os.environ.get(DEADLINE) or "0",
        help=f"seconds from a request to its answer, 0: no end (${DEADLINE})",
    )
    parser.add_argument(
        "--grace",
        type=int,
        default=GRACE,
        help=f"seconds for running requests at the end ({GRACE})",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help=f"seconds for a request's head, and three times as many for its body ({PATIENCE:g})",
    )
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a thread in the middle of a matrix product would crash the interpreter's end.
    os._exit(code)
