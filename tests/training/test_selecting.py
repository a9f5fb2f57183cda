"""Which weights are kept for the export, and what happens where they cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lensa.contract import BASES, Measurement, TrainingConfig, preset
from training_entrypoint.best import Best
from training_entrypoint.report import Report
from training_entrypoint.selecting import Selection


class Weights:
    """What is trained: a number that is the step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def state(self) -> dict[str, torch.Tensor]:
        return {"step": torch.tensor(float(self.step))}


class Training:
    """The validations of a training in a folder, gone on from step `begin`."""

    def __init__(self, folder: Path, begin: int = 0, *likenesses: float) -> None:
        recipe = preset("person", "lora", BASES["sd15"], steps=800)
        config = TrainingConfig(**{**recipe, "subject_id": "7k2m0000"})
        past = [measured(40 * n, one) for n, one in enumerate((0.5, *likenesses))]
        self.said: list[str] = []
        self.kept = Best(folder, config, None)
        self.selection = Selection(config, self.kept, 40, lambda step: past)
        self.selection.begin(begin, self.said.append)

        trainable: Any = Weights(begin)
        self.selection.keep(begin, trainable)  # as a training does that goes on

    def take(self, step: int, likeness: float) -> None:
        trainable: Any = Weights(step)
        self.selection.take(step, measured(step, likeness), trainable)

    def finish(self, step: int) -> tuple[int, str, float | None]:
        """The exported step, the reason, and the weights; None: the last ones."""
        choice, weights = self.selection.finish(step, Report())
        assert choice is not None
        return choice.step, choice.reason, None if weights is None else weights["step"].item()


def measured(step: int, likeness: float) -> Measurement:
    bounds: dict[str, float] = {"likeness_floor": 0.5, "likeness_ceiling": 0.9, "retention": 0.95}
    return Measurement(step=step, embedder="clip", likeness=likeness, **bounds)


def test_best_weights_that_a_resume_does_not_find_give_way_to_a_later_step(tmp_path: Path) -> None:
    Training(tmp_path).take(40, 0.6)
    training = Training(tmp_path, 120, 0.6, 0.8, 0.55)  # that of 80 has not come to S3
    assert training.said == [
        "the weights of step 80 are damaged, or gone: another step is exported."
    ]
    assert not training.selection.verdict().stop
    assert training.finish(120)[::2] == (40, 40.0)
    training.take(160, 0.75)
    training.take(200, 0.7)
    assert training.finish(200)[::2] == (160, 160.0)
    assert len(training.said) == 1


def test_of_weights_that_are_all_lost_the_last_are_exported_and_no_photo_is_blamed(
    tmp_path: Path,
) -> None:
    training = Training(tmp_path, 400, 0.5, 0.5, 0.5, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert not training.selection.verdict().stop
    step, reason, weights = training.finish(800)
    assert (step, weights) == (800, None)
    assert "the last one, since the weights of step 160 are gone" in reason


def test_a_full_disk_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(tmp_path / "folder")
    (tmp_path / "folder").write_text("no folder can be made here")
    training.take(40, 0.7)
    training.take(80, 0.8)
    (said,) = training.said
    assert said.startswith("the weights of step 40 cannot be kept (")
    (tmp_path / "folder").unlink()  # there is room again
    training.take(120, 0.75)
    training.take(160, 0.7)
    assert training.finish(160)[::2] == (120, 120.0)
