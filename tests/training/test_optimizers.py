"""The learning rate by the step, and what Prodigy makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.optimization import get_scheduler
from training.running import make_job, tiny_config

from training_entrypoint.ema import Average
from training_entrypoint.optimizers import load_optimizer, schedule


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "polynomial"])
def test_a_schedule_is_what_diffusers_has_under_that_name(name: str) -> None:
    config = tiny_config(steps=10, learning_rate_schedule=name)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(
        name, optimizer, num_warmup_steps=0, num_training_steps=10, **powers(name)
    )
    for step in range(10):
        assert schedule(config, step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-6)
        optimizer.step()
        theirs.step()


def powers(name: str) -> dict[str, Any]:
    return {"power": 2.0} if name == "polynomial" else {}


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "polynomial"])
def test_a_warm_up_rises_in_a_line_and_the_schedule_follows(name: str) -> None:
    config = tiny_config(steps=10, warmup_steps=4, learning_rate_schedule=name)
    rates = [schedule(config, step) for step in range(10)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] > 0


def test_prodigy_finds_a_rate_and_takes_no_notice_of_ours(tmp_path: Path) -> None:
    fields = {"optimizer": "prodigy", "learning_rate": 1e-3, "steps": 60}
    job = make_job(tmp_path, **fields, class_images=1, validation_prompts=())
    job.run()
    steps = [event for event in job.events("progress") if event["stage"] == "training"]
    rates = [event["learning_rate"] for event in steps]
    assert rates[0] == 1e-6  # where it begins
    assert rates[-1] > 1e-5
    assert rates == sorted(rates)


def test_a_checkpoint_does_not_say_how_the_optimizer_computes() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    before, now = torch.optim.AdamW([weight], lr=0.5), torch.optim.AdamW([weight], fused=True)
    before.step()
    load_optimizer(now, before.state_dict())
    assert (now.param_groups[0]["fused"], now.param_groups[0]["lr"]) == (True, 0.5)
    now.step()
    assert now.state[weight]["step"] == 2


class Weights:
    """As much of a Trainable as an average looks at."""

    def __init__(self) -> None:
        self.weight = torch.nn.Parameter(torch.tensor([1.0]))

    def named_parameters(self) -> Any:
        return [("weight", self.weight)]

    def parameters(self) -> list[torch.nn.Parameter]:
        return [self.weight]


def test_the_average_is_the_mean_that_its_formula_says() -> None:
    weights = Weights()
    average, expected = Average(weights, decay=0.25), 1.0  # type: ignore[arg-type]
    for step, value in enumerate([2.0, -1.0, 5.0]):
        weights.weight.data.fill_(value)
        average.update(step)
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.in_place():
        assert weights.weight.item() == pytest.approx(expected)
    assert weights.weight.item() == 5.0
    average.put()
    assert weights.weight.item() == pytest.approx(expected)


def test_what_is_exported_is_the_average(tmp_path: Path) -> None:
    calm = make_job(tmp_path / "calm", ema_decay=0.9, validation_prompts=())
    last = make_job(tmp_path / "last", validation_prompts=())
    calm.run()
    last.run()
    mine, theirs = calm.weights(), last.weights()
    ups = [name for name in mine if "lora_B" in name]
    # B begins at zero and grows: its mean is behind its last value.
    assert sum(mine[name].norm() for name in ups) < sum(theirs[name].norm() for name in ups)
