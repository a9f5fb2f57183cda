"""Interrupted by real signals at steps drawn by chance, in processes of their own: the avatar has
the same bits as that of a training that nothing disturbed."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from training.processes import Process
from training.running import make_job

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
    # Where a kill leaves nothing new, the next one may come at the same step: it goes on all the
    # same, from the checkpoint before.
    for how in (signal.SIGTERM, signal.SIGKILL, chance.choice((signal.SIGTERM, signal.SIGKILL))):
        process = Process(broken)
        status = process.interrupt(chance.randrange(1, STEPS), how)
        assert status in (143, -signal.SIGKILL), process.log.read_text()[-2000:]
        assert not (broken.layout.model / "avatar.json").exists()
    process = Process(broken)
    assert process.wait() == 0, process.log.read_text()[-2000:]
    assert any("resumed" in str(event.get("message")) for event in process.events())
    mine, theirs = broken.weights(), straight.weights()
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
