"""The exported base model: asked for pictures, and pictures through its autoencoder."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from tqdm import tqdm

import lensa_mini
from lensa.contract import BASES
from mini.train_vae import to_model

STEPS = 20
GUIDANCE = BASES["mini"].guidance_scale  # as the base is served


def load() -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(lensa_mini.base_path())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionPipeline, prompts: list[str], *, seed: int = 0, batch: int = 24
) -> np.ndarray:
    """One image a prompt, uint8 (N, 64, 64, 3); image i depends on seed and i alone."""
    images = []
    for start in tqdm(range(0, len(prompts), batch), desc="generate"):
        part = prompts[start : start + batch]
        noise = [
            torch.Generator().manual_seed(seed * 100_000 + start + i) for i in range(len(part))
        ]
        images += pipeline(
            part, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=noise
        ).images
    return np.stack([np.asarray(image) for image in images])


@torch.no_grad()
def round_trip(pipeline: StableDiffusionPipeline, images: np.ndarray) -> np.ndarray:
    """The images (N, 64, 64, 3) after the autoencoder."""
    vae = pipeline.vae
    out = torch.cat(
        [vae.decode(vae.encode(x).latent_dist.mode()).sample for x in to_model(images).split(64)]
    )
    return ((out.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
