"""A training container: folders like /opt/ml, and the job's own command as a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from lensa.contract.layout import Layout

_ML = re.compile(r"(?<![\w.-])/opt/ml(?![\w.-])")
# Whatever tests have installed is the image: containers install nothing (the launcher's switch).
NO_INSTALLING = {"LENSA_INSTALL": "never"}
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"

# A network namespace starts with its loopback down; SageMaker's isolated containers have one.
_LOOPBACK_UP = (
    "import fcntl,os,socket,struct,sys;"
    "s=socket.socket();fcntl.ioctl(s,0x8914,struct.pack('16sh',b'lo',0x49));s.close();"
    "os.execvp(sys.argv[1],sys.argv[1:])"
)


def make_python(folder: Path) -> Path:
    """Make the Python of the containers: this one with what is installed, and nothing else.

    The installed packages come as a plain folder, so that editable installs are not seen: a job
    runs on what was uploaded, not on the checkout next door.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = [path for path in site.getsitepackages() if Path(path).is_dir()]
    inside = folder / "lib" / version / "site-packages"
    (inside / "installed.pth").write_text("".join(f"{path}\n" for path in packages))
    return python


PID_NAMESPACE = ("--pid", "--fork", "--mount-proc", "--kill-child")
NO_NETWORK = ("--net",)


@cache
def unsharing(*wanted: str) -> tuple[str, ...] | None:
    """Return the options of `unshare` that give these namespaces here, or None if none do."""
    tool = shutil.which("unshare")
    for options in (wanted, ("--user", "--map-root-user", *wanted)):
        if tool and not subprocess.run([tool, *options, "true"], capture_output=True).returncode:
            return options
    return None


def cannot_be_process_1() -> str:
    """Return what is missing for containers with a process 1 of their own, or nothing."""
    if unsharing(*PID_NAMESPACE) is None:
        return "unshare --pid --fork --mount-proc is not possible here (it needs Linux and rights)"
    return ""


def namespaces(*, process_1: bool, isolated: bool) -> tuple[str, ...]:
    """Return the options of `unshare` for a container."""
    wanted: tuple[str, ...] = PID_NAMESPACE if process_1 else ()
    if isolated and unsharing(*wanted, *NO_NETWORK):
        wanted += NO_NETWORK  # elsewhere isolation is the missing credentials alone
    return (unsharing(*wanted) or ()) if wanted else ()


def lay_out(root: Path, job: Mapping[str, Any], region: str) -> Layout:
    """Make the folders and the configuration files of a container."""
    layout = Layout(root)
    config = root / "input" / "config"
    for folder in (config, root / "input" / "data", layout.model, layout.output, root / "tmp"):
        folder.mkdir(parents=True)
    layout.checkpoints.mkdir()
    instance = job["ResourceConfig"]["InstanceType"]
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance}
    resources = {
        "current_host": "algo-1",
        "current_instance_type": instance,
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [{**group, "hosts": ["algo-1"]}],
        "network_interface_name": "eth0",
        "topology": None,
    }
    channels = {
        channel["ChannelName"]: {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        for channel in job.get("InputDataConfig", [])
    }
    files = {
        "hyperparameters": job.get("HyperParameters", {}),
        "resourceconfig": resources,
        "inputdataconfig": channels,
    }
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))
    return layout


def inside(text: str, root: Path) -> str:
    """Put the container's folder in the place of /opt/ml."""
    return _ML.sub(lambda _: str(root), text)


def command_of(job: Mapping[str, Any], root: Path, python: Path) -> list[str]:
    """Return the job's own command as it runs here."""
    algorithm = job["AlgorithmSpecification"]
    words = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
    words = [inside(word, root) for word in words]
    if words[0] in {"python", "python3"}:
        words[0] = str(python)
    return words


def surroundings(root: Path, python: Path) -> dict[str, str]:
    """Return what every container finds, whatever it is for."""
    return {
        "PATH": f"{python.parent}{os.pathsep}{SYSTEM_PATH}",
        "HOME": str(root / "tmp"),
        "TMPDIR": str(root / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "UTF-8",
        "SAGEMAKER_BASE_DIR": str(root),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        **NO_INSTALLING,
    }


def environment_of(
    job: Mapping[str, Any], arn: str, root: Path, python: Path, aws: Mapping[str, str]
) -> dict[str, str]:
    """Return what SageMaker gives: nothing of this process's environment."""
    own = {name: inside(value, root) for name, value in job.get("Environment", {}).items()}
    return {
        **surroundings(root, python),
        "TRAINING_JOB_NAME": job["TrainingJobName"],
        "TRAINING_JOB_ARN": arn,
        **({} if job.get("EnableNetworkIsolation") else aws),
        **own,
    }


class Container:
    """A running process, its output line by line, and an end that leaves nothing running."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        root: Path,
        on_line: Callable[[str], None],
        *,
        unshare: tuple[str, ...] = (),
    ) -> None:
        self._root, self._on_line = root, on_line
        self._namespace = "--pid" in unshare
        if unshare:
            loopback = [sys.executable, "-IS", "-c", _LOOPBACK_UP] if "--net" in unshare else []
            command = [shutil.which("unshare") or "unshare", *unshare, "--", *loopback, *command]
        self._process = subprocess.Popen(
            command,
            cwd=root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._first_process() if self._namespace else self._process.pid
        self._reader = threading.Thread(target=self._read, name="twin-container-log", daemon=True)
        self._reader.start()

    def exit_code(self) -> int | None:
        """Return the exit code (128 + signal, as Docker has it), or None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to process 1 of the container."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):  # it may end by itself in this moment
                os.kill(self.pid, number)

    def close(self) -> None:
        """End every process of the container and read the rest of the log."""
        self.send(signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pid in _processes_of(self._root):  # those that made a session of their own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._on_line(line.decode(errors="replace").rstrip("\r\n"))

    def _first_process(self) -> int:
        """Return process 1 of the namespace, by its number out here: the child of unshare."""
        outer = self._process.pid
        children = Path(f"/proc/{outer}/task/{outer}/children")
        while self._process.poll() is None:
            try:
                if pids := children.read_text().split():
                    return int(pids[0])
            except OSError:
                break
            time.sleep(0.002)
        return outer


def _processes_of(root: Path) -> list[int]:
    """Return the processes that were started in a container, where /proc tells."""
    mark = f"SAGEMAKER_BASE_DIR={root}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found
