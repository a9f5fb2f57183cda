"""Pipelines and avatars to test with: random, tiny, made in a moment."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image

from inference_entrypoint.bases import load_base
from inference_entrypoint.families import family_of
from inference_entrypoint.generate import Result, generate
from inference_entrypoint.micro import REVISION
from lensa.contract import BASES, MANIFEST, AvatarManifest, FileRecord, TrainingConfig
from lensa.contract.generation import GenerationRequest

CPU: dict[str, Any] = {"device": "cpu", "dtype": torch.float32}


def fresh_micro() -> StableDiffusionPipeline:
    return load_base(BASES["micro"], **CPU)


@cache
def micro() -> StableDiffusionPipeline:
    """One for all tests that leave it as it is."""
    return fresh_micro()


def draw(
    pipeline: Any,
    prompt: str = "as a pirate",
    *,
    indices: Any = None,
    checker: Any = None,
    **fields: Any,
) -> Result:
    """Draw with few steps and a fixed seed; `fields` are those of GenerationRequest."""
    request = GenerationRequest(prompt=prompt, **{"steps": 3, "seed": 5, **fields})
    return generate(
        pipeline,
        request,
        subject="ohwx person",
        class_noun="person",
        checker=checker,
        indices=indices,
    )


def difference(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference of two images, in steps of 1/255."""
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


def train_a_little(config: TrainingConfig) -> StableDiffusionPipeline:
    """Return a pipeline as it is at the end of a training: changed by chance, not by photos."""
    pipeline = fresh_micro()
    family = family_of(pipeline)
    source = torch.Generator().manual_seed(1)
    for name in ("unet", "text_encoder") if config.train_text_encoder else ("unet",):
        part = family.parts(pipeline)[name]
        if config.method == "lora":
            alpha = config.lora_alpha or config.lora_rank
            part.add_adapter(
                LoraConfig(
                    r=config.lora_rank,
                    lora_alpha=alpha,
                    target_modules=list(family.lora_targets[config.lora_targets][name]),
                    use_dora=config.dora,
                )
            )
        for key, parameter in part.named_parameters():
            noise = torch.randn(parameter.shape, generator=source)
            if config.method == "full":
                parameter.data += 0.02 * noise
            elif "lora_" in key:
                parameter.data = 0.2 * noise
    return pipeline


def save_avatar(folder: Path, pipeline: StableDiffusionPipeline, config: TrainingConfig) -> Path:
    """Write an avatar as a training job exports it."""
    parts = ("unet", "text_encoder") if config.train_text_encoder else ("unet",)
    if config.method == "lora":
        fields: dict[str, Any] = {}
        for name in parts:
            part = getattr(pipeline, name)
            fields[f"{name}_lora_layers"] = get_peft_model_state_dict(
                part, save_embedding_layers=False
            )
            fields[f"{name}_lora_adapter_metadata"] = part.peft_config["default"].to_dict()
        pipeline.save_lora_weights(folder, **fields)
    else:
        for name in parts:
            getattr(pipeline, name).save_pretrained(folder / name)
    write_manifest(folder, config)
    return folder


def write_manifest(folder: Path, config: TrainingConfig, **changes: Any) -> None:
    """Vouch for the files as they are now."""
    records = [
        FileRecord(
            path=path.relative_to(folder).as_posix(),
            size=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    ]
    fields: dict[str, Any] = {
        "avatar": "lensa-7k2m0000-1f3a9c2e",
        "base_revision": REVISION,
        "photo_digests": (),
        "config": config,
        "precision": "fp32",
        "seed": 0,
        "steps_trained": 1,
        "trained_at": datetime.now(UTC),
        "versions": {},
        "sample_prompts": (),
        "files": tuple(records),
    }
    manifest = AvatarManifest(**{**fields, **changes})
    (folder / MANIFEST).write_text(manifest.model_dump_json())


def config(**changes: Any) -> TrainingConfig:
    fields = {"subject_id": "7k2m0000", "base": BASES["micro"], "lora_rank": 4}
    return TrainingConfig(**{**fields, **changes})


def make_avatar(folder: Path, **changes: Any) -> Path:
    """Write an avatar into a folder; `changes` are fields of TrainingConfig."""
    chosen = config(**changes)
    return save_avatar(folder, train_a_little(chosen), chosen)
