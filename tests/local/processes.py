"""The command line as a real process, and who is alive below a home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from conftest import TINY


def settings(**changes: Any) -> list[str]:
    """Return the tiny recipe as options of `lensa train`."""
    fields = {**TINY, **changes}
    base = ["--base", str(fields.pop("base"))]
    return base + [f"--set={name}={json.dumps(value)}" for name, value in fields.items()]


def lensa(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start `lensa` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from lensa.cli import main; main()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        # Whoever runs the tests in the background has Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def finish(
    process: subprocess.Popen[str], seconds: float = 120
) -> tuple[int, list[dict[str, Any]], str]:
    """Wait and return (exit code, JSON lines of stdout, stderr)."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def read_until(process: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]) -> Any:
    """Read JSON lines up to the first that is wanted, and return it."""
    assert process.stdout is not None
    for line in process.stdout:
        if wanted(event := json.loads(line)):
            return event
    raise AssertionError(f"it ended first: {process.stderr and process.stderr.read()}")


def entrypoints(home: Path) -> list[psutil.Process]:
    """Return the living trainers and servers that work below a home."""
    found = []
    for process in psutil.process_iter():
        try:
            base = process.environ().get("SAGEMAKER_BASE_DIR", "")
            command = " ".join(process.cmdline())
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        if alive and base.startswith(str(home)) and "_entrypoint" in command:
            found.append(process)
    return found


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
