"""What the launcher says: the events of `lensa.contract.events`, and the failure file.

Written by hand here: pydantic may not be installed yet.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


class SetupError(Exception):
    """The container cannot be set up. Its text says what to change."""


def event(kind: str, **fields: object) -> None:
    """Print one event as one line of JSON."""
    print(json.dumps({"event": kind, **fields}, separators=(",", ":")), flush=True)


def stage(message: str) -> None:
    event("stage", stage="installing", message=message)


def failed(error: SetupError) -> None:
    """Say it in the log."""
    event("end", status="failed", step=0, message=str(error), error="ConfigError")


def leave_failure(error: SetupError) -> None:
    """Say it in the file that becomes a job's FailureReason."""
    path = failure_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(error)[:1024])
    except OSError as full:
        print(f"could not write {path}: {full}", file=sys.stderr)


def failure_file() -> Path:
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "output" / "failure"
