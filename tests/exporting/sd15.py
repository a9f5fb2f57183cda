"""Stable Diffusion 1.5 without its weights, and what is on record of its files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from inference.making import micro
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

RECORDED = Path(__file__).parent / "recorded"


def build(tokenizer: CLIPTokenizer) -> StableDiffusionPipeline:
    """Return a pipeline of its architecture, on the default device: "meta" costs no memory."""
    return StableDiffusionPipeline(
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            sample_size=512,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408,
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                max_position_embeddings=77,
            )
        ),
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@cache
def skeleton() -> StableDiffusionPipeline:
    tokenizer = micro().tokenizer
    with torch.device("meta"):
        return build(tokenizer)


def recorded_checkpoint() -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a checkpoint."""
    return {
        name: tuple(int(side) for side in shape.split("x"))
        for name, shape in _lines("sd15_checkpoint.txt")
    }


def recorded_lora() -> dict[str, str]:
    """Name of a layer in kohya's form -> layer of the checkpoint."""
    return dict(_lines("sd15_lora.txt"))


def _lines(name: str) -> list[list[str]]:
    lines = (RECORDED / name).read_text().splitlines()
    return [line.split() for line in lines if not line.startswith("#")]
