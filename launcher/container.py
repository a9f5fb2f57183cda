"""From a bare image to the training: what is missing is installed, secrets are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from launcher.requirements import prepare
from launcher.say import SetupError, failed, failure_file

# Said here, so that every container has it whoever wrote the job's request. They are for libraries
# that are not imported yet.
_ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_ERROR_REPORTING": "false",
    # Idle OpenMP threads that spin take the cores from those that work.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def run(arguments: list[str], program: str, started: float, check: Callable[[], None]) -> int:
    """Set up and train; return the exit status.

    `started` is the container's start by the monotonic clock; `check` raises if a stop came.
    """
    try:
        failure_file().unlink(missing_ok=True)
        if arguments != ["train"]:
            given = " ".join(arguments) or "nothing"
            raise SetupError(f"lensa.pyz is told what to do by one word, 'train'; it got {given}.")
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        prepare(Path(program).resolve().parent / "wheels")
        # Late: what boto3 and pydantic import may have been installed a moment ago, and a module
        # of the version before would stay in memory.
        from launcher.secrets import read_secrets

        read_secrets(os.environ)
    except SetupError as error:
        failed(error)
        return 2
    from training_entrypoint.__main__ import main as train

    check()
    return train(started)
