"""An interrupted training goes on as if nothing had happened: the weights are bit-identical."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training.running import Job, make_job, reached

from lensa.errors import ConfigError
from training_entrypoint import checkpoints
from training_entrypoint.stopping import Stopped


def same(one: Job, other: Job) -> bool:
    mine, theirs = one.weights(), other.weights()
    assert mine.keys() == theirs.keys()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": "full", "optimizer": "adamw8bit", "train_text_encoder": True},
        {"gradient_accumulation": 2, "flip": True, "warmup_steps": 3},
    ],
    ids=["lora", "full, 8-bit", "accumulated"],
)
@pytest.mark.parametrize("stop_at", [1, 4])
def test_stopped_and_resumed(tmp_path: Path, changes: dict[str, Any], stop_at: int) -> None:
    straight = make_job(tmp_path / "straight", steps=6, **changes)
    straight.run()
    broken = make_job(tmp_path / "broken", steps=6, **changes)
    broken.stop_when = reached(stop_at)
    with pytest.raises(Stopped) as stopped:
        broken.run()
    assert stopped.value.step == stop_at
    assert not (broken.layout.model / "avatar.json").exists()
    broken.stop_when = None
    broken.run()
    assert broken.events("notice")[0]["message"].endswith(f"at step {stop_at}")
    assert same(straight, broken)


def test_two_runs_with_one_seed_are_the_same_and_another_seed_is_not(tmp_path: Path) -> None:
    jobs = [make_job(tmp_path / str(n), seed=seed) for n, seed in enumerate((5, 5, 6))]
    for job in jobs:
        job.run()
    assert same(jobs[0], jobs[1])
    assert not same(jobs[0], jobs[2])


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=4, checkpoint_every=1)
    job.stop_when = reached(3)
    with pytest.raises(Stopped):
        job.run()
    newest = job.layout.checkpoints / "step-000003" / "trained.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    assert checkpoints.newest(job.layout.checkpoints, job.config) == (
        2,
        job.layout.checkpoints / "step-000002",
    )


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=4)
    job.stop_when = reached(2)
    with pytest.raises(Stopped):
        job.run()
    job.config = job.config.model_copy(update={"learning_rate": 1e-5, "seed": 9})
    with pytest.raises(ConfigError) as raised:
        job.run()
    assert "learning_rate was 0.001 and is 1e-05, seed was 0 and is 9" in str(raised.value)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=6, checkpoint_every=1, checkpoints_kept=2)
    job.stop_when = reached(5)
    with pytest.raises(Stopped):
        job.run()
    kept = sorted(path.name for path in job.layout.checkpoints.glob("step-*"))
    assert kept == ["step-000004", "step-000005"]


def test_a_stop_while_class_images_are_drawn_keeps_those_that_are(tmp_path: Path) -> None:
    job = make_job(tmp_path, class_images=6)
    job.stop_when = lambda event: event.get("stage") == "class_images" and "step" in event
    with pytest.raises(Stopped):
        job.run()
    folder = job.layout.checkpoints / "class_images"
    drawn = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(drawn) == 4
    job.stop_when = None
    job.run()
    assert all(path.stat().st_mtime_ns == time for path, time in drawn.items())
