"""A job that may run for so long ends in time, with what it has learned by then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from training.running import Job, make_job, reached

from lensa.contract.environment import MAX_RUNTIME
from lensa.errors import ConfigError
from training_entrypoint.deadline import MARGIN, RESTART, Deadline
from training_entrypoint.stopping import Stopped


def limited(folder: Path, limit: float, **changes: Any) -> Job:
    """A job whose every step takes 100 s of the clock, and nothing else any time."""
    job = make_job(folder, steps=8, **changes)
    job.limit = limit
    job.takes = lambda event: 100 if event.get("stage") == "training" and "step" in event else 0
    return job


def test_it_exports_what_it_has_when_the_time_is_nearly_over(tmp_path: Path) -> None:
    job = limited(tmp_path, limit=500 + MARGIN - 1)
    assert job.run() == 5
    assert job.manifest.steps_trained == 5
    (notice,) = job.events("notice")
    assert notice["message"].endswith("the training ends at step 5 of 8")


def test_with_time_enough_it_trains_to_the_end(tmp_path: Path) -> None:
    job = limited(tmp_path, limit=800 + MARGIN)
    assert job.run() == 8
    assert job.events("notice") == []


def test_the_time_before_an_interruption_counts(tmp_path: Path) -> None:
    job = limited(tmp_path, limit=500 + RESTART + MARGIN - 1)
    job.stop_when = reached(3)
    with pytest.raises(Stopped):
        job.run()
    job.stop_when, job.clock = None, 10_000  # another container, another clock
    assert job.run() == 5


def test_another_jobs_time_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second attempt finds the checkpoints of the first, and has a limit of its own."""
    job = limited(tmp_path, limit=500 + MARGIN - 1)
    monkeypatch.setenv("TRAINING_JOB_NAME", "lensa-7k2m0000-1f3a9c2e")
    job.stop_when = reached(3)
    with pytest.raises(Stopped):
        job.run()
    job.stop_when = None
    monkeypatch.setenv("TRAINING_JOB_NAME", "lensa-7k2m0000-1f3a9c2e-2")
    assert job.run() == 8


def test_resumed_with_no_time_left_it_exports_its_checkpoint(tmp_path: Path) -> None:
    job = limited(tmp_path, limit=1000)
    job.stop_when = reached(2)
    with pytest.raises(Stopped):
        job.run()
    job.stop_when, job.limit = None, 200 + MARGIN - 1
    assert job.run() == 2
    assert job.manifest.steps_trained == 2


def test_a_limit_that_leaves_nothing_to_train_in_is_refused_in_words(tmp_path: Path) -> None:
    job = limited(tmp_path, limit=MARGIN - 1)
    with pytest.raises(ConfigError, match=r"may run for 59 s.*exporting needs 60 s.*Allow more"):
        job.run()
    assert not job.events("progress")
    assert not (job.layout.model / "avatar.json").exists()


def test_the_reserve_is_twice_what_was_measured_and_a_margin(tmp_path: Path) -> None:
    now = [0.0]
    deadline = Deadline(1000, tmp_path, "job", clock=lambda: now[0])
    for work, seconds in (("loading", 50), ("drawing", 10), ("drawing", 7)):
        with deadline.measuring(work):
            now[0] += seconds
    assert deadline.reserve() == 2 * (50 + 10) + MARGIN
    now[0] = 1000 - deadline.reserve()
    assert not deadline.near()
    now[0] += 1
    assert deadline.near()


def test_samples_in_more_steps_need_more_and_a_validation_is_not_begun_too_late(
    tmp_path: Path,
) -> None:
    now = [0.0]
    deadline = Deadline(1000, tmp_path, "job", clock=lambda: now[0])
    with deadline.measuring("drawing"):
        now[0] += 10
    with deadline.measuring("measuring"):
        now[0] += 3
    deadline.longer = 4.0
    assert deadline.reserve() == 2 * 4 * 10 + MARGIN
    now[0] = 1000 - deadline.reserve() - 13
    assert deadline.allows_drawing()
    now[0] += 1
    assert not deadline.allows_drawing()
    assert not deadline.near()


def test_how_long_drawing_took_is_known_after_an_interruption(tmp_path: Path) -> None:
    now = [0.0]
    deadline = Deadline(1000, tmp_path, "job", clock=lambda: now[0])
    with deadline.measuring("drawing"):
        now[0] += 30
    deadline.note()
    again = Deadline(1000, tmp_path, "job", clock=lambda: 5.0)
    assert (again.spent(), again.reserve()) == (30 + RESTART, 60 + MARGIN)
    assert [path.name for path in tmp_path.iterdir()] == ["elapsed.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": "job"}', '{"job": "job", "seconds": []}'])
def test_a_damaged_note_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "elapsed.json").write_text(text)
    assert Deadline(1000, tmp_path, "job", clock=lambda: 5.0).spent() == 0


def test_without_a_limit_it_never_comes_and_nothing_is_written(tmp_path: Path) -> None:
    deadline = Deadline.of_environment(tmp_path, "job", environ={})
    deadline.note()
    assert not deadline.near()
    assert list(tmp_path.iterdir()) == []


def test_the_limit_is_read_from_the_environment(tmp_path: Path) -> None:
    assert Deadline.of_environment(tmp_path, "job", environ={MAX_RUNTIME: "3600"}).limit == 3600
    for text in ("soon", "0", "-1", "nan", "inf"):
        with pytest.raises(ConfigError, match=f"LENSA_MAX_RUNTIME is '{text}'"):
            Deadline.of_environment(tmp_path, "job", environ={MAX_RUNTIME: text})


def test_the_note_is_made_with_each_checkpoint(tmp_path: Path) -> None:
    job = limited(tmp_path, limit=10_000, checkpoint_every=2)
    seen: list[float] = []

    def look(event: dict[str, Any]) -> bool:
        if event["event"] == "checkpoint":
            state = json.loads((job.layout.checkpoints / "elapsed.json").read_text())
            seen.append(state["seconds"])
        return False

    job.stop_when = look
    job.run()
    assert seen == [200, 400, 600, 800]
