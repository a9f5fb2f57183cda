"""From a bare image to the training or the server: what it lacks is installed, secrets are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from launcher.requirements import SERVING, TRAINING, prepare
from launcher.say import SetupError, failed, failure_file, leave_failure
from launcher.surroundings import surround

_PINS = {"train": TRAINING, "serve": SERVING}


def run(arguments: list[str], program: str, started: float, check: Callable[[], None]) -> int:
    """Set up, then train or serve; return the exit status.

    `started` is the container's start by the monotonic clock; `check` raises if a stop came.
    """
    bundle = Path(program).resolve()
    word = arguments[0] if len(arguments) == 1 else ""
    try:
        if word != "serve":
            failure_file().unlink(missing_ok=True)
        if word not in _PINS:
            given = " ".join(arguments) or "nothing"
            raise SetupError(
                f"lensa.pyz is told what to do by one word, 'train' or 'serve'; it got {given}."
            )
        surround(os.environ)
        prepare(bundle.parent / "wheels", _PINS[word])
        # Late: what boto3 and pydantic import may have been installed a moment ago, and a module
        # of the version before would stay in memory.
        from launcher.secrets import read_secrets

        read_secrets(os.environ)
    except SetupError as error:
        failed(error)
        if word != "serve":  # of an endpoint nobody reads it
            leave_failure(error)
        return 2
    check()
    return _serve(bundle) if word == "serve" else _train(started)


def _train(started: float) -> int:
    from training_entrypoint.__main__ import main

    return main(started)


def _serve(bundle: Path) -> int:
    """Serve as a container of our own image does: whoever reaches it may ask."""
    from inference_entrypoint.server import main

    # The process that draws is a child with the same Python, and finds its code by this.
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(bundle), *([known] if known else [])])
    return main(["--host", "0.0.0.0"])  # noqa: S104 - SageMaker asks from outside the container
