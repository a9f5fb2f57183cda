"""Every way to train ends in an avatar that loads, differs from the base, and is described."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops
from training.running import Job, make_job

from inference_entrypoint.avatars import load_avatar
from inference_entrypoint.bases import load_base
from inference_entrypoint.generate import generate
from lensa.contract import BASES, GenerationRequest
from training_entrypoint.validation import sample_requests

WAYS: dict[str, dict[str, Any]] = {
    "lora": {},
    "lora with text encoder": {"train_text_encoder": True, "text_encoder_learning_rate": 1e-3},
    "alpha is not the rank": {"lora_rank": 4, "lora_alpha": 8},
    "full": {"method": "full"},
    "full with text encoder": {"method": "full", "train_text_encoder": True},
    "8-bit Adam": {"method": "full", "optimizer": "adamw8bit"},
    "bf16": {"precision": "bf16"},
    "accumulation": {"gradient_accumulation": 2, "batch_size": 2},
    "gradient checkpointing": {"gradient_checkpointing": True, "train_text_encoder": True},
    "without prior preservation": {"prior_preservation": False},
    "mirrored photos, warm-up": {"flip": True, "warmup_steps": 2},
    "DoRA": {"dora": True, "lora_rank": 4, "lora_alpha": 8},
    "DoRA beside all layers, in half precision": {
        "dora": True,
        "lora_targets": "all",
        "train_text_encoder": True,
        "precision": "bf16",
    },
    "LoRA beside all layers": {"lora_targets": "all"},
    "Prodigy, on a cosine": {"optimizer": "prodigy", "learning_rate_schedule": "cosine"},
    "moving average, min-SNR, noise offset": {
        "ema_decay": 0.9,
        "min_snr_gamma": 5,
        "noise_offset": 0.1,
    },
    "lean": {"memory": "lean", "lora_targets": "transformer", "batch_size": 2},
}


@pytest.fixture(params=WAYS, scope="module")
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = make_job(tmp_path_factory.mktemp("job"), **WAYS[request.param])
    assert job.run() == job.config.steps
    return job


def test_the_trained_weights_moved(job: Job) -> None:
    base = load_base(BASES["micro"], device="cpu", dtype=torch.float32)
    weights = job.weights()
    if job.config.method == "lora":
        ups = [tensor for name, tensor in weights.items() if "lora_B" in name or ".up." in name]
        assert ups, sorted(weights)[:4]
        assert all(tensor.abs().max() > 0 for tensor in ups)  # B starts at zero
        text = [name for name in weights if "text_encoder" in name]
        assert bool(text) == job.config.train_text_encoder
    else:
        modules = {"unet": base.unet.state_dict(), "text_encoder": base.text_encoder.state_dict()}
        trained = {name.split("/")[0] for name in weights}
        assert trained == ({*modules} if job.config.train_text_encoder else {"unet"})
        moved = [
            not torch.equal(tensor, modules[name.split("/")[0]][name.split("/")[1]])
            for name, tensor in weights.items()
        ]
        assert sum(moved) > 0.9 * len(moved)


def test_the_manifest_describes_every_file(job: Job) -> None:
    manifest = job.manifest
    on_disk = {
        path.relative_to(job.layout.model).as_posix(): path
        for path in job.layout.model.rglob("*")
        if path.is_file() and path.name != "avatar.json"
    }
    assert {record.path for record in manifest.files} == set(on_disk)
    for record in manifest.files:
        content = on_disk[record.path].read_bytes()
        assert (record.size, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert manifest.config == job.config
    assert (manifest.steps_trained, manifest.seed) == (job.config.steps, job.config.seed)
    assert manifest.versions["torch"] == torch.__version__
    assert len(manifest.photo_digests) == 4


def test_the_samples_are_what_an_endpoint_answers(job: Job) -> None:
    avatar = load_avatar(job.layout.model)
    for index, request in enumerate(sample_requests(job.config)):
        answer = generate(avatar.pipeline, request, subject=job.config.subject, class_noun="person")
        with Image.open(job.layout.model / "samples" / f"{index}.png") as sample:
            assert ImageChops.difference(answer.images[0], sample).getbbox() is None


def test_the_avatar_differs_from_its_base(job: Job) -> None:
    avatar = load_avatar(job.layout.model)
    request = GenerationRequest(prompt="a photo of {subject}", seed=3, steps=4)
    base = load_base(BASES["micro"], device="cpu", dtype=torch.float32)
    images = [
        generate(pipeline, request, subject=job.config.subject, class_noun="person").images[0]
        for pipeline in (avatar.pipeline, base)
    ]
    assert ImageChops.difference(*images).getbbox() is not None


def test_nothing_is_left_but_the_avatar(job: Job) -> None:
    assert not (job.layout.root / "staging").exists()
    assert not list(job.layout.checkpoints.glob("*step-*"))
    assert not list(Path(job.layout.root).rglob("*.partial"))
