"""Weights & Biases: online with a key, and without one, or without a server, a real offline run.

Every run, online too, lies whole in `wandb/` of the job's output: `wandb sync` sends it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from lensa.contract import TrainingConfig
from training_entrypoint.tracking.public import public
from training_entrypoint.tracking.sink import Picture, loaded

ANSWER_SECONDS = 30.0  # for a server to answer at all; $WANDB_INIT_TIMEOUT
UPLOAD_SECONDS = 45.0  # for the last of the upload; $WANDB_FINISH_TIMEOUT


def open_run(
    config: TrainingConfig, job: str, folder: Path, say: Callable[[str], None]
) -> WandbRun:
    """Return the job's run. It goes by the job's id: resumed, it is the same one."""
    os.environ.setdefault("WANDB_SILENT", "true")  # it says where it found the key
    import wandb  # late: a second that other trackers do not pay

    folder.mkdir(parents=True, exist_ok=True)
    # Of a container before: this one tells all of it again.
    shutil.rmtree(folder / "wandb", ignore_errors=True)
    # Who keeps runs on this machine by WANDB_MODE has a key all the same, often.
    if os.environ.get("WANDB_API_KEY") and os.environ.get("WANDB_MODE", "online") == "online":
        try:
            return WandbRun(wandb, _begin(wandb, config, job, folder, "online"), say)
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            say(
                "Weights & Biases cannot be reached, and the run is kept here instead: wandb sync "
                f"sends it ({reason})"
            )
            with suppress(Exception):
                wandb.teardown()  # else the run's id is in use
            shutil.rmtree(folder / "wandb", ignore_errors=True)  # nothing was told it yet
    return WandbRun(wandb, _begin(wandb, config, job, folder, "offline"), say)


def _begin(
    wandb: Any,
    config: TrainingConfig,
    job: str,
    folder: Path,
    mode: Literal["online", "offline"],
) -> Any:
    return wandb.init(
        project=config.project,
        name=job,
        id=job,
        resume="allow",
        dir=str(folder),
        mode=mode,
        config=public(config),
        settings=settings(wandb.Settings),
    )


def settings(known: Any) -> Any:
    """Return our settings, as far as a version of wandb knows them: others it refuses."""
    ours = {
        # Our own stdout is the job's log.
        "console": "off",
        "silent": True,
        # Nobody's business: the machine, its name, the command line, the code, the packages.
        "host": "lensa",
        "program": "lensa",
        "disable_git": True,
        "disable_code": True,
        "x_disable_machine_info": True,
        "x_save_requirements": False,
        "sagemaker_disable": True,  # else it takes its id and its configuration from the platform
        "init_timeout": _seconds("WANDB_INIT_TIMEOUT", ANSWER_SECONDS),
        "finish_timeout": _seconds("WANDB_FINISH_TIMEOUT", UPLOAD_SECONDS),
        "finish_timeout_raises": True,
        "x_transaction_log_flush_interval": 2.0,  # what is on the disk survives this process
    }
    return known(**{name: value for name, value in ours.items() if name in known.model_fields})


def _seconds(variable: str, usual: float) -> float:
    try:
        return float(os.environ.get(variable) or usual)
    except ValueError:
        return usual


class WandbRun:
    """A run. Its steps only ever go up: what it has from before an interruption it keeps."""

    def __init__(self, wandb: Any, run: Any, say: Callable[[str], None]) -> None:
        self._wandb, self._run, self._say = wandb, run, say
        self._known = int(run.step)  # the server's; 0 of a new run

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self._log(step, dict(values))

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        images = {
            picture.key: self._wandb.Image(image, caption=picture.caption)
            for picture, image in loaded(pictures)
        }
        self._log(step, images)

    def summary(self, facts: Mapping[str, str | float]) -> None:
        self._run.summary.update(dict(facts))

    def close(self, exit_code: int) -> None:
        try:
            self._run.finish(exit_code=exit_code)
        except TimeoutError:
            self._say(
                "Weights & Biases has not taken everything in time: the run is whole in wandb/ of "
                "the job's output, and wandb sync --no-skip-online sends it"
            )
        self._wandb.teardown()  # waits until the last of it is on the disk

    def _log(self, step: int, values: dict[str, Any]) -> None:
        if values and step >= self._known:
            self._run.log(values, step=step)
