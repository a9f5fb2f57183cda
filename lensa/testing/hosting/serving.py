"""A serving container: what was uploaded in folders like /opt/ml, and a process that answers."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import stat
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensa.testing.channels import DownloadError, download_channel
from lensa.testing.container import Container, inside, namespaces, surroundings
from lensa.testing.sites import Site

_STAND_IN = Path(__file__).parent.parent / "hugging_face_image.py"
_RELAY = Path(__file__).parent.parent / "port_relay.py"
AWS_IMAGE = "huggingface-pytorch-inference"
_PING_SECONDS = 2.0  # real ones; SageMaker's own limit for an answer to /ping


class NoAnswer(Exception):
    """The container did not answer; the text is what SageMaker says of it."""


TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
EXITED = "An error occurred while handling request as the model process exited."


@dataclass(frozen=True)
class Reply:
    """What a container answered."""

    status: int
    body: bytes
    headers: dict[str, str]  # names in lower case


class ServingContainer:
    """One container of an endpoint, from its download to its end."""

    def __init__(self, name: str, model: dict[str, Any], region: str, site: Site) -> None:
        """`model`: the parameters of CreateModel; `name`: of the endpoint."""
        self.instance = f"i-{uuid.uuid4().hex[:17]}"
        self.image: str = model["PrimaryContainer"]["Image"]
        self.asked = 0  # requests that it is answering
        self._name, self._model, self._region, self._site = name, model, region, site
        self._root = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=site.folder))
        self._port = 0
        self._socket: Path | None = None  # the way to the port, if it has a network of its own
        self._process: Container | None = None

    # --- its life ---

    def download(self) -> None:
        """Fetch the model and what comes beside it, to be read only. Raises DownloadError."""
        container = self._model["PrimaryContainer"]
        model = self._root / "model"
        model.mkdir()
        (self._root / "tmp").mkdir()
        if source := container.get("ModelDataSource"):
            self._fetch(source["S3DataSource"], model)
        beside = self._root / "additional-model-data-sources"
        for channel in container.get("AdditionalModelDataSources", []):
            self._fetch(channel["S3DataSource"], beside / channel["ChannelName"])
        for folder in (model, beside):
            _let_write(folder, False)

    def start(self, on_line: Callable[[str], None], command: list[str] | None = None) -> None:
        """Run the image's server, or another command in its place."""
        self._port = _free_port()
        python = self._site.container_python()
        environment = self._environment(python)
        command = self._command(python) if command is None else command
        isolated = bool(self._model["EnableNetworkIsolation"])
        options = namespaces(process_1=False, isolated=isolated)
        if not os.geteuid() or "--map-root-user" in options:
            command = _unprivileged(command)
        if "--net" in options:
            self._socket = self._site.folder / f"{uuid.uuid4().hex[:8]}.sock"
            relay = [sys.executable, "-I", str(_RELAY), str(self._socket), str(self._port)]
            command = [*relay, *command]
        self._process = Container(command, environment, self._root, on_line, unshare=options)

    def exit_code(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return None if self._process is None else self._process.exit_code()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End every process of it, and remove its files."""
        if self._process is not None:
            self._process.close()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
        _let_write(self._root, True)
        shutil.rmtree(self._root, ignore_errors=True)

    # --- asking it ---

    def healthy(self) -> bool:
        """Say whether it answers /ping with 200."""
        try:
            return self._ask("GET", "/ping", b"", {}, _PING_SECONDS).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def invoke(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        """Ask for an answer. Raises NoAnswer."""
        try:
            return self._ask("POST", "/invocations", body, headers, seconds)
        except TimeoutError:
            raise NoAnswer(TIMED_OUT) from None
        except (OSError, http.client.HTTPException):
            raise NoAnswer(EXITED) from None

    def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Reply:
        connection = _Connection(self._socket, self._port, seconds)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, content, said)
        finally:
            connection.close()

    # --- inside ---

    def _fetch(self, source: dict[str, Any], folder: Path) -> None:
        channel = {"DataSource": {"S3DataSource": source}}
        role = self._model["ExecutionRoleArn"]
        try:
            download_channel(self._site.s3, channel, folder, role=role, region=self._region)
        except DownloadError:
            raise DownloadError(
                'Failed to download model data for container "primary" from URL: '
                f'"{source["S3Uri"]}". Please ensure that there is an object located at the URL '
                "and that the role passed to CreateModel has permissions to download the object."
            ) from None

    def _command(self, python: Path) -> list[str]:
        if AWS_IMAGE in self.image:
            # Not on its path: the modules beside it are none of the container's.
            return [str(python), "-P", str(_STAND_IN)]
        return [str(python), str(self._root / "model" / "code" / "lensa.pyz"), "serve"]

    def _environment(self, python: Path) -> dict[str, str]:
        """Return what SageMaker and the image give: nothing of this process's environment."""
        root = self._root
        asked = self._model["PrimaryContainer"].get("Environment", {})
        isolated = self._model["EnableNetworkIsolation"]
        return {
            **surroundings(root, python),
            "SAGEMAKER_BIND_TO_PORT": str(self._port),
            **({} if isolated else self._site.credentials(self._region)),
            **{name: inside(value, root) for name, value in asked.items()},
        }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _unprivileged(command: list[str]) -> list[str]:
    """Let a container of root's keep to the modes of files as well, where that is possible."""
    tool = shutil.which("setpriv")
    return [tool, "--bounding-set=-dac_override", *command] if tool else command


class _Connection(http.client.HTTPConnection):
    """To a port of this machine, or by way of a Unix socket."""

    def __init__(self, path: Path | None, port: int, seconds: float) -> None:
        super().__init__("127.0.0.1", port, timeout=seconds)
        self._path = path

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _let_write(folder: Path, writing: bool) -> None:
    paths = [folder, *folder.rglob("*")] if folder.is_dir() else []
    for path in paths:
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | 0o200 if writing else mode & ~0o222)
