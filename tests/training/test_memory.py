"""A full memory: once more, leaner, with the same mathematics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training.running import Job, make_job, reached, tiny_config

from inference_entrypoint.bases import load_base
from lensa.contract import BASES
from training_entrypoint import job as job_module
from training_entrypoint.memory import choose, estimate, make_plan
from training_entrypoint.stopping import Stopped

BATCH: dict[str, Any] = {"batch_size": 3, "steps": 3, "validation_prompts": ()}


def small_gpu(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """From here a base's UNet has no memory for more than so many images on the way back."""

    def load(*arguments: Any, **options: Any) -> Any:
        pipeline = load_base(*arguments, **options)

        def full(unet: torch.nn.Module, given: tuple[Any, ...]) -> None:
            if torch.is_grad_enabled() and len(given[0]) > rows:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

        pipeline.unet.register_forward_pre_hook(full)
        return pipeline

    monkeypatch.setattr(job_module, "load_base", load)


def said(job: Job) -> str:
    return " ".join(event["message"] for event in job.events("notice"))


def test_a_full_memory_is_met_once_with_a_leaner_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = make_job(tmp_path / "roomy", **BATCH)
    roomy.run()
    small_gpu(monkeypatch, rows=2)  # a photo and a class image
    small = make_job(tmp_path / "small", **BATCH)
    assert small.run() == 3
    assert "the memory of the GPU is full: once more" in said(small)
    assert "gradient checkpointing, each batch in 3 parts" in said(small)
    mine, theirs = small.weights(), roomy.weights()
    # Adam makes a step of every gradient, also of one that is nothing but rounding: a few weights
    # may go the other way.
    apart = torch.cat([(mine[name] - theirs[name]).abs().flatten() for name in theirs])
    assert (apart > 1e-4).float().mean() < 0.005
    assert apart.max() <= 2 * BATCH["steps"] * small.config.learning_rate


def test_it_stays_lean_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_gpu(monkeypatch, rows=2)
    job = make_job(tmp_path, **BATCH)
    job.stop_when = reached(1)
    with pytest.raises(Stopped):
        job.run()
    job.stop_when = None
    job.lines.clear()
    job.run()
    assert "is full" not in said(job)


def test_what_does_not_fit_when_lean_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_gpu(monkeypatch, rows=1)
    with pytest.raises(torch.OutOfMemoryError):
        make_job(tmp_path, **BATCH).run()


CHEAPER: dict[str, Callable[[Any], Any]] = {
    "a LoRA than full weights": lambda c: c.model_copy(update={"method": "lora"}),
    "8-bit moments": lambda c: c.model_copy(update={"optimizer": "adamw8bit"}),
    "lean": lambda c: make_plan(c, "lean", gpu=True).config,
    "one image": lambda c: c.model_copy(update={"batch_size": 1}),
    "no moving average": lambda c: c.model_copy(update={"ema_decay": None}),
}


@pytest.mark.parametrize("way", CHEAPER)
def test_the_estimate_knows_what_is_cheaper(way: str) -> None:
    pipeline = load_base(BASES["micro"], device="cpu", dtype=torch.float32)
    config = tiny_config(method="full", batch_size=4, ema_decay=0.9, optimizer="adamw")
    cheaper = estimate(CHEAPER[way](config), pipeline, "bf16")
    assert cheaper < estimate(config, pipeline, "bf16")
    assert estimate(config, pipeline, "bf16") < estimate(config, pipeline, "fp32")


def test_auto_is_lean_where_the_gpu_is_too_small_and_says_so() -> None:
    pipeline = load_base(BASES["micro"], device="cpu", dtype=torch.float32)
    needed = estimate(tiny_config(), pipeline, "bf16")
    for there, kind in ((needed - 1, "lean"), (needed, "normal")):
        chosen, why = choose(tiny_config(), pipeline, "bf16", there)
        assert chosen == kind
        assert why.startswith(f"memory: {kind}, as a normal training needs about 1.5 GB")
    assert choose(tiny_config(), pipeline, "fp32", None) == ("normal", "")
    assert choose(tiny_config(memory="lean"), pipeline, "fp32", 1e12) == ("lean", "")


def test_lean_takes_the_8_bit_optimizer_on_a_gpu_and_none_but_adamw() -> None:
    for optimizer, gpu, lean in (
        ("adamw", True, "adamw8bit"),
        ("adamw", False, "adamw"),
        ("prodigy", True, "prodigy"),
    ):
        plan = make_plan(tiny_config(optimizer=optimizer), "lean", gpu=gpu)
        assert (plan.config.optimizer, plan.config.gradient_checkpointing) == (lean, True)
