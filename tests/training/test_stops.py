"""A stop comes at any moment: the job ends soon, and the next start goes on to the same avatar."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training.running import make_job

from training_entrypoint.stopping import Stopped, StopRequest

MOMENTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "loading": lambda event: event.get("stage") == "loading",
    "class images": lambda event: event.get("stage") == "class_images",
    "first validation": lambda event: event.get("message") == "step 0",
    "later validation": lambda event: event.get("message") == "step 2",
    "last step": lambda event: event.get("stage") == "training" and event.get("step") == 4,
    "exporting": lambda event: event.get("stage") == "exporting",
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    job = make_job(tmp_path_factory.mktemp("straight"), validation_every=2)
    job.run()
    return job.weights()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_stop_while(moment: str, tmp_path: Path, straight: dict[str, torch.Tensor]) -> None:
    job = make_job(tmp_path, validation_every=2)
    job.stop_when = MOMENTS[moment]
    with pytest.raises(Stopped) as stopped:
        job.run()
    steps = {"later validation": 2, "last step": 4, "exporting": 4}
    assert stopped.value.step == steps.get(moment, 0)
    assert not (job.layout.model / "avatar.json").exists()
    assert not (job.layout.root / "staging").exists()
    job.stop_when = None
    assert job.run() == 4
    weights = job.weights()
    assert weights.keys() == straight.keys()
    assert all(torch.equal(weights[name], straight[name]) for name in weights)


def test_where_nothing_can_be_lost_a_signal_interrupts() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = StopRequest().listen()
    stop.step = 7
    try:
        with pytest.raises(Stopped) as stopped, stop.at_once():
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("it went on")
        assert stopped.value.step == 7
        signal.raise_signal(signal.SIGTERM)  # elsewhere it is only noted
        with pytest.raises(Stopped), stop.at_once():
            raise AssertionError("it began")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_hangs_is_left_before_the_platform_kills_it() -> None:
    script = """
import signal, threading
from training_entrypoint.stopping import StopRequest
StopRequest().listen(late=lambda: print("late", flush=True), patience=0.05)
signal.raise_signal(signal.SIGTERM)
threading.Event().wait()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (143, "late\n")
