"""The best step's weights are exported, not the last ones, whatever happens on the way.

Four red pictures are learned so fast that likeness rises, and soon is flat.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from training.processes import Interruption, run_process
from training.running import Job, make_job, reached

from lensa.errors import TrainingError
from training_entrypoint import dreambooth as dreambooth_module
from training_entrypoint.loss import dreambooth_loss

RED: dict[str, Any] = {
    "steps": 30,
    "learning_rate": 0.01,
    "lora_targets": "all",
    "lora_alpha": 128,
    "ema_decay": 0.3,
    "prior_preservation": False,
    "validation_every": 2,
    "validation_steps": 2,
    "checkpoint_every": 2,
    "early_stopping": "likeness",
}


def red(folder: Path, **changes: Any) -> Job:
    job = make_job(folder, **(RED | changes))
    for shade, path in enumerate(sorted(job.layout.photos.iterdir())):
        Image.new("RGB", (32, 32), (210 + 10 * shade, 60 - 10 * shade, 30)).save(path)
    return job


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = red(tmp_path_factory.mktemp("straight"))
    job.run()
    return job


def same(one: Job, other: Job) -> bool:
    mine, theirs = one.weights(), other.weights()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


def test_it_stops_by_itself_and_the_avatar_is_that_of_the_best_step(
    straight: Job, tmp_path: Path
) -> None:
    manifest = straight.manifest
    choice = manifest.choice
    assert choice is not None
    assert 0 < choice.step < choice.trained == manifest.steps_trained < choice.of == 30
    assert choice.reason.startswith(f"step {choice.step} of 30: likeness ")
    said = [event["message"] for event in straight.events("notice")]
    assert any(text.startswith(f"stopped at step {choice.trained} of 30: ") for text in said)
    told = [event for event in straight.events("stage") if event["stage"] == "exporting"]
    assert told[0]["message"] == choice.reason
    # One that ends at that step, and looks at nothing, has the same weights.
    shorter = red(tmp_path, steps=choice.step, validation_every=0)
    shorter.run()
    assert shorter.manifest.choice is None
    assert same(straight, shorter)
    assert not list(straight.layout.checkpoints.glob("best-*"))


class Killed(BaseException):
    """Nobody catches it, and nothing is written behind it: what is on the disk is what counts."""


def killed_at(job: Job, moment: Callable[[dict[str, Any]], bool]) -> None:
    def die(event: dict[str, Any]) -> bool:
        if moment(event):
            raise Killed
        return False

    job.stop_when = die
    with pytest.raises(Killed):
        job.run()
    job.stop_when = None


@pytest.mark.parametrize("moment", ["best measured, not kept", "between two", "exporting"])
def test_killed_and_started_again_it_chooses_and_exports_the_same(
    moment: str, straight: Job, tmp_path: Path
) -> None:
    choice, job = straight.manifest.choice, red(tmp_path)
    assert choice is not None
    moments: dict[str, Callable[[dict[str, Any]], bool]] = {
        # The event is said when the line of metrics.jsonl is written.
        "best measured, not kept": lambda event: (
            event["event"] == "validation" and event["step"] == choice.step
        ),
        "between two": reached(choice.trained - 1),
        "exporting": lambda event: event.get("stage") == "exporting",
    }
    killed_at(job, moments[moment])
    job.run()
    assert job.manifest.choice == choice
    assert same(job, straight)


@pytest.mark.slow
def test_a_real_signal_changes_nothing_about_it(straight: Job, tmp_path: Path) -> None:
    assert straight.manifest.choice is not None
    job = red(tmp_path)
    last = Interruption(straight.manifest.choice.trained, signal.SIGKILL)
    assert run_process(job, last) == -signal.SIGKILL
    job.run()
    assert job.manifest.choice == straight.manifest.choice
    assert same(job, straight)


def test_weights_that_are_damaged_are_not_exported(straight: Job, tmp_path: Path) -> None:
    assert straight.manifest.choice is not None
    choice = straight.manifest.choice
    job = red(tmp_path, checkpoint_every=choice.trained - 1)  # behind the best one
    killed_at(job, reached(choice.trained))  # the next thing it would do is to measure
    kept = job.layout.checkpoints / f"best-{choice.step:06d}"
    (kept / "trained.safetensors").write_bytes(b"{}")
    job.run()
    said = [event["message"] for event in job.events("notice")]
    lost = f"the weights of step {choice.step} are damaged, or gone: another step is exported."
    assert said.count(lost) == 1
    assert job.manifest.choice is not None
    assert job.manifest.choice.step != choice.step


def test_the_best_of_the_past_do_not_pile_up_between_checkpoints(tmp_path: Path) -> None:
    job, most = red(tmp_path, steps=8, checkpoint_every=0, patience=9), 0

    def count(event: dict[str, Any]) -> bool:
        nonlocal most
        if event["event"] == "progress":
            most = max(most, len(list(job.layout.checkpoints.glob("best-*"))))
        return False

    job.stop_when = count
    job.run()
    assert most == 1


def test_off_exports_the_last_step_and_measures_all_the_same(tmp_path: Path) -> None:
    job = red(tmp_path, early_stopping="off", steps=4)
    assert job.run() == 4
    assert job.manifest.choice is not None
    assert job.manifest.choice.step == 4
    assert "early_stopping is off; likeness" in job.manifest.choice.reason
    lines = (job.layout.checkpoints / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 2, 4]


def running_away(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """From a step on the loss is no number, whatever the rate: as of a photo that breaks it."""

    def broken(*arguments: Any, **options: Any) -> torch.Tensor:
        loss = dreambooth_loss(*arguments, **options)
        return loss * math.nan if arguments[5] >= step else loss

    monkeypatch.setattr(dreambooth_module, "dreambooth_loss", broken)


def test_where_the_loss_runs_away_twice_the_best_step_before_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_away(monkeypatch, 21)
    job = red(tmp_path, patience=20, checkpoint_every=0)  # it begins anew, with a quarter
    job.run()
    choice = job.manifest.choice
    assert choice is not None
    assert 0 < choice.step < job.manifest.steps_trained == choice.trained < choice.of
    assert choice.stopped
    assert choice.warning is not None
    assert "again, with a quarter of the learning rate: lower learning_rate" in choice.warning
    assert choice.warning in [event["message"] for event in job.events("notice")]
    quarter = RED["learning_rate"] / 4
    shorter = red(tmp_path / "s", steps=choice.step, learning_rate=quarter, validation_every=0)
    monkeypatch.undo()
    shorter.run()
    assert same(job, shorter)


def test_where_it_runs_away_twice_before_anything_is_learned_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_away(monkeypatch, 1)
    job = red(tmp_path)
    with pytest.raises(TrainingError, match="again, with a quarter of the learning rate"):
        job.run()
    assert not (job.layout.model / "avatar.json").exists()
