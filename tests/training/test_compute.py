"""What validations take of a training's computing: counted, and kept below a tenth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from training.running import make_job

from inference_entrypoint.bases import load_base
from lensa.contract import BASES, KINDS, TrainingConfig, preset
from training_entrypoint import job as job_module
from training_entrypoint.compute import MOST, Compute, compute_of, plan_validations


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", ["sd15", "mini"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_no_recipe_spends_more_than_a_tenth_on_validations(
    kind: Any, base: str, method: Any
) -> None:
    config = TrainingConfig(**preset(kind, method, BASES[base]), subject_id="7k2m0000")
    for before in (0, 3200):
        drawn, every = plan_validations(config, before)
        compute = compute_of(drawn, before)
        assert 0 < every <= config.steps
        for end in range((config.patience + 1) * every, config.steps + 1, every):
            assert compute.share(end, end // every) <= MOST
        assert compute.share(config.steps, -(-config.steps // every)) <= MOST


@pytest.mark.parametrize(("every", "steps"), [(0, 10), (400, 10), (100, 6), (80, 5), (1, 4)])
def test_who_says_how_often_gets_images_in_the_most_steps_that_a_tenth_allows(
    every: int, steps: int
) -> None:
    recipe = preset("person", "lora", BASES["sd15"]) | {"validation_every": every}
    config = TrainingConfig(**recipe, subject_id="7k2m0000")
    chosen, found = plan_validations(config, before=0)
    assert (chosen.validation_steps, found) == (steps, every)
    asked = config.model_copy(update={"validation_steps": 7})
    assert plan_validations(asked, before=0)[0].validation_steps == 7


def test_what_computes_little_is_not_validated_on_the_way() -> None:
    assert Compute(before=0, step=4, first=60, each=45).every(steps=10, patience=2) == 0


def test_the_passes_are_those_that_the_unet_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows from the configuration, held against a count of a whole run."""
    prompts = ("a photo of {subject}", "a photo of {subject} on a beach")
    job = make_job(tmp_path, validation_every=2, validation_steps=3, validation_prompts=prompts)
    seen: list[int] = []

    def load(*arguments: Any, **options: Any) -> Any:
        pipeline = load_base(*arguments, **options)
        pipeline.unet.register_forward_pre_hook(lambda unet, given: seen.append(len(given[0])))
        return pipeline

    monkeypatch.setattr(job_module, "load_base", load)  # the real one, counted
    job.run()
    compute = compute_of(job.config, before=4 * (2 + 1))  # a batch of 4, one of 2 steps guided
    forward = compute.step // 2  # the other half is backward
    assert sum(seen) == (
        compute.before + job.config.steps * forward + compute.first + 2 * compute.each
    )
    assert (compute.first, compute.each) == (4 * (3 + 2), 3 * (3 + 2))
    assert job.manifest.choice is not None
    assert job.manifest.choice.validation_share == round(compute.share(4, 2), 4)
