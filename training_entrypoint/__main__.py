"""Process 1 of the training container: `python -m training_entrypoint`.

Reads `input/data/config/training.json` and `input/data/photos/` below `$SAGEMAKER_BASE_DIR`
(default /opt/ml), prints progress as JSON lines, and ends in one of four ways:

    0    `model/` holds the avatar
    2    something has to be changed: `output/failure` says what
    143  stopped by SIGTERM with a checkpoint saved: the same start goes on from there
    1    it failed: `output/failure` says why
"""

from __future__ import annotations

import os
import sys
import traceback

from lensa.contract import Layout, TrainingConfig
from lensa.errors import ConfigError, LensaError, StorageError, TrainingError
from training_entrypoint.report import Report
from training_entrypoint.stopping import Stopped, StopRequest


def main() -> int:
    layout, report, stop = Layout.here(), Report(), StopRequest().listen()
    layout.failure.unlink(missing_ok=True)
    try:
        if not layout.config.is_file():
            raise ConfigError(f"there is no training configuration at {layout.config}.")
        config = TrainingConfig.model_validate_json(layout.config.read_bytes())
        from training_entrypoint.job import run  # late: a bad configuration is told in a second

        steps = run(config, layout, report, stop)
    except Stopped as stopped:
        report.stopped(stopped.step, "the same call goes on from here")
        return 143
    except Exception as error:
        told = _told(error)
        if told is not error:
            traceback.print_exc()
        _fail(layout, report, told)
        return told.exit_code
    report.completed(steps)
    return 0


def _told(error: Exception) -> LensaError:
    """Return the error as one paragraph for someone who will not read the log."""
    if isinstance(error, LensaError):
        return error
    if _disk_full(error):
        return StorageError(
            "the disk is full. Free some space, then start the same training again: it goes on "
            "from its last checkpoint."
        )
    if type(error).__name__ == "OutOfMemoryError":
        return TrainingError(
            "the GPU is out of memory. Set gradient_checkpointing, batch_size 1, optimizer "
            "adamw8bit or a smaller resolution, or train a LoRA instead of full weights."
        )
    return TrainingError(f"{type(error).__name__}: {error}")


def _disk_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind it: torch and safetensors raise errors of their own."""
    while error is not None:
        if "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _fail(layout: Layout, report: Report, error: LensaError) -> None:
    report.failed(str(error), type(error).__name__)
    try:
        layout.failure.parent.mkdir(parents=True, exist_ok=True)
        layout.failure.write_text(str(error)[:1024])
    except OSError as full:  # the disk that failed the job can fail this too
        print(f"could not write {layout.failure}: {full}", file=sys.stderr)


if __name__ == "__main__":
    # wandb and tokenizers leave threads behind that can hold up the interpreter's own exit.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
