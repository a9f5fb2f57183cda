"""A training that goes wrong: a loss that runs away, black images, weights that do not move."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from training.running import Job, make_job, reached, tiny_config

from inference_entrypoint.bases import load_base
from inference_entrypoint.micro import build_micro
from lensa.bases import resolve_base
from lensa.errors import TrainingError
from training_entrypoint import job as job_module
from training_entrypoint.stopping import Stopped
from training_entrypoint.watchdog import Diverged, Watchdog

# A LoRA that is scaled 512 times: its weights overflow at step 8, and with a quarter of the rate
# after step 10, at one or another by how the machine rounds.
RECKLESS: dict[str, Any] = {
    "learning_rate": 0.01,
    "lora_rank": 1,
    "lora_alpha": 512,
    "lora_targets": "all",
    "max_grad_norm": 100,
    "class_images": 1,
    "checkpoint_every": 5,
    "validation_prompts": (),
}


def said(job: Job) -> list[str]:
    return [event["message"] for event in job.events("notice")]


def rates(job: Job) -> dict[int, float]:
    return {
        event["step"]: event["learning_rate"]
        for event in job.events("progress")
        if event["stage"] == "training"
    }


def test_a_loss_that_runs_away_goes_back_once_and_on_with_a_lower_rate(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=10, **RECKLESS)
    assert job.run() == 10
    assert re.fullmatch(
        r"the loss .* at step \d+: back to the last good checkpoint, with a quarter of the rate\.",
        said(job)[0],
    )
    assert said(job)[1] == "resumed from the checkpoint at step 5"
    assert rates(job)[10] == 0.0025
    assert all(weight.isfinite().all() for weight in job.weights().values())


def test_a_validation_that_meets_it_first_is_no_other_failure(tmp_path: Path) -> None:
    """Of 1000 steps the losses are looked at in each tenth, and there are images in between."""
    seen = {"validation_prompts": ("a photo of {subject}",), "validation_every": 1}
    job = make_job(tmp_path, steps=1000, **RECKLESS | seen, validation_steps=1)
    with pytest.raises(TrainingError, match=r"at step \d+, again, with a quarter of the learning"):
        job.run()
    back = "back to the last good checkpoint, with a quarter of the rate."
    assert sum(message.endswith(back) for message in said(job)) == 1


def test_images_that_turn_black_on_the_way_go_back_to_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of that very step was saved before they were drawn: it is passed over."""
    changes = {"validation_every": 2, "validation_steps": 1, "checkpoint_every": 1}
    job = make_job(tmp_path, prior_preservation=False, **changes)
    loaded: list[Any] = []

    def load(*arguments: Any, **options: Any) -> Any:
        pipeline = load_base(*arguments, **options)
        if not loaded:  # the first one alone decodes to black, once it is trained
            trained = reached(2)
            pipeline.vae.decoder.conv_out.register_forward_hook(
                lambda module, given, out: (
                    out.fill_(-5) if any(map(trained, job.events("progress"))) else out
                )
            )
        loaded.append(pipeline)
        return pipeline

    monkeypatch.setattr(job_module, "load_base", load)
    assert job.run() == 4
    assert said(job)[0].startswith("the model draws nothing any more at step 2: back to the last")
    assert said(job)[1] == "resumed from the checkpoint at step 1"


def test_an_interruption_after_it_goes_on_with_the_lower_rate(tmp_path: Path) -> None:
    straight = make_job(tmp_path / "straight", steps=10, **RECKLESS)
    straight.run()
    broken = make_job(tmp_path / "broken", steps=10, **RECKLESS)
    broken.stop_when = reached(9)
    with pytest.raises(Stopped):
        broken.run()
    broken.stop_when = None
    broken.run()
    mine, theirs = broken.weights(), straight.weights()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert not (broken.layout.checkpoints / "decisions.json").exists()  # of a finished training


def test_the_second_time_it_fails_with_a_reason_and_leaves_good_checkpoints(tmp_path: Path) -> None:
    job = make_job(tmp_path, steps=30, **RECKLESS)
    with pytest.raises(TrainingError, match=r"at step \d+, again, with a quarter of the learning"):
        job.run()
    kept = list(job.layout.checkpoints.glob("step-*/trained.safetensors"))
    assert kept
    for path in kept:
        assert all(weight.isfinite().all() for weight in load_file(path).values())
    assert not (job.layout.model / "avatar.json").exists()


@pytest.mark.parametrize("loss", [math.nan, math.inf, 21.0])
def test_a_loss_has_bounds(loss: float) -> None:
    watchdog = Watchdog(tiny_config())  # with prior preservation: 1 + 1 if nothing is predicted
    assert watchdog.look(1, [0.5, 1.5]) == 1.0
    assert watchdog.look(2, [19.0, 21.0]) == 20.0
    with pytest.raises(Diverged, match="at step 3"):
        watchdog.look(3, [loss])


def test_a_base_that_begins_high_may_go_on_so() -> None:
    watchdog = Watchdog(tiny_config(prior_preservation=False))
    assert watchdog.look(1, [50.0]) == 50.0
    assert watchdog.look(2, [400.0]) == 400.0
    with pytest.raises(Diverged, match="has risen to 501"):
        watchdog.look(3, [501.0])


def test_black_images_are_told_at_once(tmp_path: Path) -> None:
    pipeline = build_micro()
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.weight.zero_()
        pipeline.vae.decoder.conv_out.bias.fill_(-5)
    pipeline.save_pretrained(tmp_path / "base")
    base = resolve_base(str(tmp_path / "base"))
    job = make_job(tmp_path, base=base, prior_preservation=False)
    with pytest.raises(TrainingError, match="images drawn at step 0 are black"):
        job.run()


def test_a_training_that_changed_nothing_is_no_success(tmp_path: Path) -> None:
    job = make_job(tmp_path, method="full", learning_rate=1e-60, validation_prompts=())
    with pytest.raises(TrainingError, match="nothing was learned: after 4 steps"):
        job.run()
    assert not (job.layout.model / "avatar.json").exists()


@pytest.mark.parametrize("method", ["lora", "full"])
def test_weights_that_only_decay_have_learned_nothing(tmp_path: Path, method: str) -> None:
    fields = {"masked_loss": True, "unmasked_weight": 0.0, "prior_preservation": False}
    job = make_job(tmp_path, method=method, validation_prompts=(), **fields)
    for path in job.layout.photos.iterdir():
        with Image.open(path) as photo:
            masked = photo.convert("RGBA")
        masked.putalpha(0)
        masked.save(path)
    with pytest.raises(TrainingError, match="look at the masks"):
        job.run()
