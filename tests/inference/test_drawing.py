"""Batches: their size and their company leave no mark on a picture, nor does a small GPU."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from making import difference, draw, fresh_micro, micro
from PIL import Image

from inference_entrypoint.conditioning import condition
from inference_entrypoint.drawing import Drawing, Job, Settings
from inference_entrypoint.families import family_of, stable_diffusion
from inference_entrypoint.samplers import begin_at, make_scheduler

SCHEDULERS = ["default", "ddim", "dpm++", "dpm++-karras", "euler", "lcm"]


SETTINGS = Settings((32, 32), "dpm++-karras", steps=4, guided=0.5, guidance_scale=5.0)


def job(text: str, index: int = 0, **changes: Any) -> Job:
    with torch.no_grad():
        return Job(condition(micro(), text, ""), 5, index, **changes)


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = (np.asarray(one, dtype=float) - np.asarray(other, dtype=float)) ** 2
    return float("inf") if not error.any() else float(10 * np.log10(255**2 / error.mean()))


@torch.no_grad()
def test_a_longer_prompt_beside_it_does_not_change_a_picture() -> None:
    jobs = [job("a red hat", 0), job("a hat " * 40, 1), job("a blue hat", 2)]
    assert len({len(one.conditioning.prompt) for one in jobs}) == 2
    together = Drawing(micro(), 4).draw(jobs, SETTINGS)
    for one, image in zip(jobs, together, strict=True):
        (alone,) = Drawing(micro(), 4).draw([one], SETTINGS)
        assert difference(alone, image) <= 1


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_in_half_precision_the_batch_costs_no_more_than_40_db(batch_size: int) -> None:
    pipeline = fresh_micro().to(torch.bfloat16)
    jobs = []
    with torch.no_grad():
        for index, text in enumerate(("a hat", "a red hat", "a cat", "a man", "the sea")):
            jobs.append(Job(condition(pipeline, text, ""), 5, index))
        whole = Drawing(pipeline, 5).draw(jobs, SETTINGS)
        parts = Drawing(pipeline, batch_size).draw(jobs, SETTINGS)
    assert min(psnr(one, other) for one, other in zip(whole, parts, strict=True)) >= 40


def small_gpu(monkeypatch: pytest.MonkeyPatch, most: int) -> Any:
    """A pipeline whose UNet refuses more than `most` rows, as a full GPU does."""
    pipeline = fresh_micro()
    real = pipeline.unet.forward

    def forward(latents: torch.Tensor, *rest: Any, **options: Any) -> Any:
        if len(latents) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(latents, *rest, **options)

    monkeypatch.setattr(pipeline.unet, "forward", forward)
    return pipeline


def test_a_full_gpu_gets_half_the_batch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    result = draw(small_gpu(monkeypatch, most=3), count=6)  # guided, a batch of 4 has 8 rows
    assert [note for note in result.warnings if "does not hold 4 images at a time" in note]
    assert [note for note in result.warnings if "does not hold 2 images at a time" in note]
    whole = draw(micro(), count=6)
    for one, other in zip(result.images, whole.images, strict=True):
        assert difference(one, other) <= 1


def test_a_gpu_too_small_for_one_image_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        draw(small_gpu(monkeypatch, most=1))


def test_guidance_that_ends_early_is_guidance_all_the_same() -> None:
    pictures = {share: draw(micro(), guided=share, steps=4).images[0] for share in (0, 0.5, 1)}
    unguided = draw(micro(), guidance_scale=1, steps=4).images[0]
    assert pictures[0].tobytes() == unguided.tobytes()
    assert len({picture.tobytes() for picture in pictures.values()}) == 3


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_each_scheduler_begins_where_the_strength_says(scheduler: Any) -> None:
    for strength, walked in ((1.0, 10), (0.5, 5), (0.04, 1)):
        made = make_scheduler(micro().scheduler, scheduler)
        made.set_timesteps(10)
        left = begin_at(made, 10, strength)
        assert len(left) == walked
        assert left.tolist() == made.timesteps[-walked:].tolist()


@torch.no_grad()
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_picture_to_begin_with_stays_the_more_the_weaker(scheduler: Any) -> None:
    start = torch.full((1, 4, 8, 8), 0.5)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    distance = []
    for strength in (0.05, 0.5, 1.0):
        latents = family_of(micro()).denoise(
            micro(),
            scheduler=make_scheduler(micro().scheduler, scheduler),
            prompts=job("a hat").conditioning.prompt[None],
            negatives=None,
            noise=noise,
            generators=[torch.Generator().manual_seed(2)],
            steps=20,
            guidance_scale=1.0,
            start=start,
            strength=strength,
        )
        distance.append(float((latents - start).square().mean()))
    assert distance == sorted(distance) and distance[0] < 0.1


@torch.no_grad()
def test_what_is_drawn_into_a_picture_has_noise_of_its_own() -> None:
    first, second = Drawing(micro(), 4).draw([job("x"), job("x", purpose="face")], SETTINGS)
    assert difference(first, second) > 8


def test_remembering_the_prompts_keys_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = draw(micro(), count=2, guided=0.5, steps=4)
    monkeypatch.setattr(stable_diffusion, "remembering", lambda unet: nullcontext())
    computed = draw(micro(), count=2, guided=0.5, steps=4)
    for one, other in zip(remembered.images, computed.images, strict=True):
        assert one.tobytes() == other.tobytes()


def test_what_it_remembers_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = small_gpu(monkeypatch, most=1)
    before = [type(layer) for layer in pipeline.unet.modules()]
    with pytest.raises(torch.OutOfMemoryError):
        draw(pipeline)
    assert [type(layer) for layer in pipeline.unet.modules()] == before
