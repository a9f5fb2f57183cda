"""A training job in a process of its own, with real signals: the container's, without its image."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from training.running import Job

# Forked from a process that has imported everything: a start costs no more than the job itself.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["training_entrypoint.job", "inference_entrypoint.micro"])


@dataclass(frozen=True)
class Interruption:
    """A signal that the process gets so many seconds after it has reported a step.

    It sends it to itself: from outside, a busy machine would be late.
    """

    step: int
    signal: int
    delay: float = 0.0


class _Listening:
    """A process's stdout, which waits for a step to be told."""

    def __init__(self, out: TextIO, interruption: Interruption) -> None:
        self._out, self._interruption, self._done = out, interruption, False

    def write(self, text: str) -> int:
        if not self._done and text.startswith('{"event":"progress","stage":"training"'):
            self._done = json.loads(text)["step"] >= self._interruption.step
            if self._done:
                arguments = (os.getpid(), self._interruption.signal)
                threading.Timer(self._interruption.delay, os.kill, arguments).start()
        return self._out.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


def _main(
    root: str, log: str, interruption: Interruption | None, prepare: Callable[[], None] | None
) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ["SAGEMAKER_BASE_DIR"] = root
    if interruption is not None:
        sys.stdout = _Listening(sys.stdout, interruption)  # type: ignore[assignment]
    if prepare is not None:
        prepare()
    from training_entrypoint.__main__ import main

    os._exit(main())


def run_process(
    job: Job,
    interruption: Interruption | None = None,
    prepare: Callable[[], None] | None = None,
) -> int:
    """Run `python -m training_entrypoint` on a job's folder, and return its exit status.

    `prepare` is called in the process first. What it says is added to the job's lines.
    """
    log = job.layout.root / "log.txt"
    job.layout.config.parent.mkdir(parents=True, exist_ok=True)
    job.layout.config.write_text(job.config.model_dump_json())
    process = CONTEXT.Process(
        target=_main, args=(str(job.layout.root), str(log), interruption, prepare)
    )
    process.start()
    process.join(200)
    assert process.exitcode is not None, "it hangs"
    lines = log.read_text().splitlines()
    job.lines[:] = [line for line in lines if line.startswith('{"event"') and line.endswith("}")]
    return process.exitcode
