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
import time
import traceback

from inference_entrypoint.unused import lean_imports, leave_out
from lensa.contract import Layout, TrainingConfig
from lensa.errors import BaseModelError, ConfigError, LensaError, StorageError, TrainingError
from training_entrypoint.deadline import Deadline
from training_entrypoint.memory import out_of_memory
from training_entrypoint.report import Report
from training_entrypoint.stopping import Stopped, StopRequest


def main(started: float | None = None) -> int:
    """Run the job and return its exit status. `started` is the container's start by
    `time.monotonic`; None: now."""
    layout, report, stop = Layout.here(), Report(), StopRequest()
    stop.listen(late=lambda: report.stopped(stop.step, "it took too long to come to an end"))
    stop.step = _last_step(layout)
    started = time.monotonic() if started is None else started
    try:
        layout.failure.unlink(missing_ok=True)
        if not layout.config.is_file():
            raise ConfigError(f"there is no training configuration at {layout.config}.")
        config = TrainingConfig.model_validate_json(layout.config.read_bytes())
        leave_out("bitsandbytes")  # peft would import it; the one optimizer that needs it still can
        # Late: a bad configuration is told in a second. A base's scheduler may need scipy.
        with stop.at_once(), lean_imports(keep=("scipy",)):
            from training_entrypoint.hardware import keep_freed_memory
            from training_entrypoint.job import job_id, run

        keep_freed_memory()
        deadline = Deadline.of_environment(layout.checkpoints, job_id(config), started)
        steps = run(config, layout, report, stop, deadline)
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


def _last_step(layout: Layout) -> int:
    """The newest checkpoint's step, before anything is there that could read it."""
    steps = [path.name.removeprefix("step-") for path in layout.checkpoints.glob("step-*")]
    return max((int(step) for step in steps if step.isdigit()), default=0)


def _told(error: Exception) -> LensaError:
    """Return the error as one paragraph for someone who will not read the log."""
    if _of_the_hub(error) and "TRAINING_JOB_ARN" in os.environ:
        return BaseModelError(
            f"{error} A SageMaker job gets HF_TOKEN as the ARN of a secret; without a way to the "
            "internet it needs the base model mirrored to S3."
        )
    if isinstance(error, LensaError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return ConfigError(
            f"the Python package {error.name} is not installed here. In a container: use an image "
            "with PyTorch, such as AWS's huggingface-pytorch-training. Elsewhere: "
            "pip install 'lensa[local]'."
        )
    if _disk_full(error):
        return StorageError(
            "the disk is full. Free some space, then start the same training again: it goes on "
            "from its last checkpoint."
        )
    match out_of_memory(error):
        case "GPU":
            return TrainingError(
                "the GPU is out of memory. Set memory to lean, batch_size 1 or a smaller "
                "resolution, train a LoRA instead of full weights, or take a machine whose GPU has "
                "more memory."
            )
        case "machine":
            return TrainingError(
                "the machine is out of memory. Take a larger one, set batch_size 1, or ask for "
                "fewer class images."
            )
    return TrainingError(f"{type(error).__name__}: {error}")


def _of_the_hub(error: Exception) -> bool:
    """Whether a base is gated, private or out of reach: not whether it is of the wrong kind."""
    words = ("HF_TOKEN", "Hub cannot be reached")
    return isinstance(error, BaseModelError) and any(word in str(error) for word in words)


def _disk_full(error: BaseException | None) -> bool:
    """Whether a full disk, or a quota, is behind it: torch and safetensors raise errors of their
    own."""
    words = ("No space left on device", "Disk quota exceeded", "File too large")
    while error is not None:
        if any(word in str(error) for word in words):
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
