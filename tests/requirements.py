"""Tests that need something of the machine: they skip saying what is missing, unless it was asked
for by name in LENSA_REQUIRE (comma-separated, or `all`); then they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec

import pytest

PROCESS_ONE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def need(name: str, available: bool, what: str) -> None:
    """Go on if `available`, else skip or fail, saying that `what` is missing."""
    if available:
        return
    required = os.environ.get("LENSA_REQUIRE", "").split(",")
    message = f"needs {name}: {what}"
    if name in required or "all" in required:
        pytest.fail(f"{message} (LENSA_REQUIRE asks for it)", pytrace=False)
    pytest.skip(message)


def need_tmpfs() -> None:
    """A small file system of our own, to fill."""
    need("tmpfs", can_mount(), "root and mount namespaces (unshare --mount)")


def can_mount() -> bool:
    """Whether a process can have file systems of its own here."""
    mount = ["unshare", "--mount", "true"]
    can = os.geteuid() == 0 and shutil.which("unshare") is not None
    return can and subprocess.run(mount, capture_output=True).returncode == 0


def need_process_one() -> None:
    """A PID namespace, in which a process can be process 1."""
    can = shutil.which("unshare") is not None
    can = can and subprocess.run([*PROCESS_ONE, "true"], capture_output=True).returncode == 0
    need("unshare", can, "root and PID namespaces (unshare --pid)")


def need_module(name: str, module: str, install: str) -> None:
    need(name, find_spec(module) is not None, f"pip install {install}")
