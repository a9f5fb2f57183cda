"""Interrupted by real signals at steps drawn by chance, in processes of their own: the avatar has
the same bits as that of a training that nothing disturbed."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from training.processes import Interruption, run_process
from training.running import Job, make_job

STEPS = 20
WAYS: dict[str, dict[str, Any]] = {
    "lora, accumulated": {"gradient_accumulation": 2, "flip": True, "warmup_steps": 3},
    "full, 8-bit, text encoder": {
        "method": "full",
        "optimizer": "adamw8bit",
        "train_text_encoder": True,
        "text_encoder_learning_rate": 1e-5,
    },
    "DoRA beside all layers, moving average": {
        "dora": True,
        "lora_targets": "all",
        "ema_decay": 0.95,
        "noise_offset": 0.1,
    },
    "Prodigy, cosine, min-SNR": {
        "optimizer": "prodigy",
        "learning_rate_schedule": "cosine",
        "min_snr_gamma": 5,
        "train_text_encoder": True,
    },
}


def resumed(job: Job) -> list[str]:
    said = [event["message"] for event in job.events("notice")]
    return [message for message in said if message.startswith("resumed")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
)
def test_the_bits_are_the_same(way: str, seed: int, tmp_path: Path) -> None:
    chance = random.Random(f"{way} {seed}")
    fields = {"steps": STEPS, "checkpoint_every": 4, "validation_prompts": (), **WAYS[way]}
    straight = make_job(tmp_path / "straight", **fields)
    straight.run()
    broken = make_job(tmp_path / "broken", **fields)
    for how in (signal.SIGTERM, signal.SIGKILL, chance.choice((signal.SIGTERM, signal.SIGKILL))):
        # A step takes some hundredths of a second: it comes anywhere in it, and in checkpoints.
        at, delay = chance.randrange(1, STEPS), chance.uniform(0, 0.05)
        status = run_process(broken, Interruption(at, how, delay))
        if status == 0:  # the one before came when all steps were done: there was no step to tell
            assert resumed(broken)[-1].endswith(f"at step {STEPS}")
            break
        assert status == (143 if how == signal.SIGTERM else -how), broken.lines[-3:]
        assert not (broken.layout.model / "avatar.json").exists()
    else:
        assert run_process(broken) == 0, broken.lines[-3:]
    assert resumed(broken)
    mine, theirs = broken.weights(), straight.weights()
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
