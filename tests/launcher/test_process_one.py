"""The launcher as process 1 of a PID namespace: a signal reaches it, and nothing is lost."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

import pytest
import torch
from contained import container, environment, make_interpreter
from requirements import PROCESS_ONE, need_process_one
from training.running import Job, make_job

from lensa.contract.events import EndEvent, Event, ProgressEvent, parse_event
from training_entrypoint import checkpoints

STEPS = 24


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_process_one()
    return make_interpreter(tmp_path_factory.mktemp("interpreter") / "python")


class Process:
    """A container's process 1, seen from outside."""

    def __init__(self, unshare: subprocess.Popen[str]) -> None:
        self._unshare = unshare
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
        while not (found := children.read_text().split()):
            assert unshare.poll() is None
        self.pid = int(found[0])

    def handles(self, number: int) -> bool:
        """Whether there is a handler for a signal by now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (mask,) = [line.split()[1] for line in lines if line.startswith("SigCgt:")]
        return bool(int(mask, 16) >> (number - 1) & 1)

    def terminate(self) -> None:
        subprocess.run(["kill", "-TERM", str(self.pid)], check=True)

    def events(self) -> Iterator[Event]:
        assert self._unshare.stdout is not None
        for line in self._unshare.stdout:
            if (event := parse_event(line.rstrip())) is not None:
                yield event

    def wait(self) -> int:
        return self._unshare.wait()


@contextmanager
def process_one(python: Path, bundle: Path, job: Job) -> Iterator[Process]:
    with subprocess.Popen(
        [*PROCESS_ONE, python, bundle, "train"],
        env=environment(job),
        stdout=subprocess.PIPE,
        text=True,
    ) as unshare:
        try:
            yield Process(unshare)
        finally:
            unshare.kill()  # with it goes the namespace


def test_a_signal_at_any_step_leaves_a_checkpoint_from_which_the_next_start_goes_on(
    tmp_path: Path, python: Path
) -> None:
    at = random.randrange(1, STEPS - 1)
    print(f"the signal comes at step {at}")  # shown if this fails
    job, bundle = container(tmp_path, steps=STEPS)
    with process_one(python, bundle, job) as process:
        seen: list[Event] = []
        for event in process.events():
            seen.append(event)
            if isinstance(event, ProgressEvent) and event.stage == "training" and event.step == at:
                process.terminate()
        assert process.wait() == 143
    end = seen[-1]
    assert isinstance(end, EndEvent)
    assert end.status == "stopped"
    assert end.step >= at
    found = checkpoints.newest(job.layout.checkpoints, job.config)
    assert found is not None
    assert found[0] == end.step
    assert not job.layout.failure.exists()
    assert not (job.layout.model / "avatar.json").exists()

    with process_one(python, bundle, job) as process:
        steps = [e.step for e in process.events() if isinstance(e, ProgressEvent)]
        assert process.wait() == 0
    assert steps == list(range(end.step + 1, STEPS + 1))

    straight = make_job(tmp_path / "straight", steps=STEPS)
    straight.run()
    expected, weights = straight.weights(), job.weights()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def test_a_signal_before_anything_is_loaded_ends_it_at_once(tmp_path: Path, python: Path) -> None:
    job, bundle = container(tmp_path)
    with process_one(python, bundle, job) as process:
        while not process.handles(SIGTERM):
            pass
        process.terminate()
        events = list(process.events())
        assert process.wait() == 143
    assert [(event.event, getattr(event, "status", "")) for event in events][-1] == (
        "end",
        "stopped",
    )
    assert not job.layout.failure.exists()
    assert not job.layout.checkpoints.exists()
