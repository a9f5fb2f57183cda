"""A training job in a process of its own, with real signals: the container's, without its image."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable

from training.running import Job

# Forked from a process that has imported everything: a start costs no more than the job itself.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["training_entrypoint.job", "inference_entrypoint.micro"])


def _main(root: str, log: str, prepare: Callable[[], None] | None) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ["SAGEMAKER_BASE_DIR"] = root
    if prepare is not None:
        prepare()
    from training_entrypoint.__main__ import main

    os._exit(main())


class Process:
    """`python -m training_entrypoint` on a job's folder. `prepare` is called in it first."""

    def __init__(self, job: Job, prepare: Callable[[], None] | None = None) -> None:
        self.log = job.layout.root / "log.txt"
        self._seen = len(self.events()) if self.log.exists() else 0
        job.layout.config.parent.mkdir(parents=True, exist_ok=True)
        job.layout.config.write_text(job.config.model_dump_json())
        self._process = CONTEXT.Process(
            target=_main, args=(str(job.layout.root), str(self.log), prepare)
        )
        self._process.start()

    def events(self) -> list[dict[str, object]]:
        """What was said so far, in all starts."""
        text = self.log.read_text() if self.log.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith('{"event"')]

    def interrupt(self, at: int, signal: int) -> int:
        """Send a signal once the job is at a step, or has ended before; return the exit status."""
        while self._process.is_alive() and self.step() < at:
            time.sleep(0.002)
        if self._process.is_alive():
            os.kill(self._process.pid or 0, signal)
        return self.wait()

    def step(self) -> int:
        """The step that this start has come to."""
        steps = [
            event["step"]
            for event in self.events()[self._seen :]
            if event["event"] == "progress" and event["stage"] == "training"
        ]
        return max((step for step in steps if isinstance(step, int)), default=0)

    def wait(self) -> int:
        self._process.join(120)
        assert self._process.exitcode is not None, "it hangs"
        return self._process.exitcode
