"""Stable Diffusion 1.x (Rombach et al. 2022, arXiv:2112.10752) and what is finetuned from it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    SchedulerMixin,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextModel

from inference_entrypoint.remembering import remembering
from inference_entrypoint.samplers import begin_at

# None of these is wanted here; left alone, they are gigabytes more to download.
WITHOUT = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


# What a LoRA goes beside. A transformer block of the UNet has a layer before it and one behind.
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_BLOCKS = (*_ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
_TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_TEXT_BLOCKS = (*_TEXT_ATTENTION, "fc1", "fc2")

# Text encoders of 2022 carry the numbers 0 to 76 as a tensor, which is no weight.
_COUNTING = re.compile(r"\bposition_ids$")


class StableDiffusion:
    name = "stable-diffusion"
    pipeline_class = StableDiffusionPipeline
    lora_targets: ClassVar = {
        "attention": {"unet": _ATTENTION, "text_encoder": _TEXT_ATTENTION},
        "transformer": {"unet": _BLOCKS, "text_encoder": _TEXT_BLOCKS},
        "all": {
            "unet": (*_BLOCKS, "conv1", "conv2", "conv_shortcut"),
            "text_encoder": _TEXT_BLOCKS,
        },
    }
    _classes: ClassVar = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
    }

    def load_folder(
        self,
        folder: Path,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        variant: str | None = None,
    ) -> StableDiffusionPipeline:
        parts = {
            name: self.load_part(name, folder, dtype=dtype, variant=variant, subfolder=name)
            for name in self._classes
        }
        # The networks are here already, so that `variant` has no more to say.
        pipeline = StableDiffusionPipeline.from_pretrained(folder, **parts, **WITHOUT)
        return self._checked(pipeline).to(device)

    def load_part(
        self,
        name: str,
        folder: Path,
        *,
        dtype: torch.dtype,
        variant: str | None = None,
        subfolder: str = "",
    ) -> nn.Module:
        """Load one network; ValueError if a tensor is missing, unknown or has another shape.

        The libraries draw what is missing at random, drop what they do not know, and log a line: a
        model that was saved by another version of them would load, and draw nonsense.
        """
        module, info = self._classes[name].from_pretrained(
            folder,
            subfolder=subfolder,
            variant=variant,
            torch_dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
        )
        for key in ("missing_keys", "mismatched_keys", "unexpected_keys"):
            odd = sorted(str(item) for item in info[key] if not _COUNTING.search(str(item)))
            if odd:
                kind = key.removesuffix("_keys")
                raise ValueError(f"{name}: {len(odd)} {kind} weights, such as {', '.join(odd[:3])}")
        return module.eval()

    def load_file(
        self, file: Path, config: Path, *, device: torch.device | str, dtype: torch.dtype
    ) -> StableDiffusionPipeline:
        try:
            pipeline = StableDiffusionPipeline.from_single_file(
                str(file), config=str(config), torch_dtype=dtype, local_files_only=True, **WITHOUT
            )
        except NotImplementedError:  # diffusers stumbles over the weights that it did not find
            raise ValueError("weights of the UNet or the VAE are missing") from None
        return self._checked(pipeline).to(device)

    def _checked(self, pipeline: StableDiffusionPipeline) -> StableDiffusionPipeline:
        """Raise ValueError for what would fail, or draw nonsense, only later."""
        for name, part in self.parts(pipeline).items():
            empty = sorted(key for key, value in part.state_dict().items() if value.is_meta)
            if empty:
                raise ValueError(f"{name}: {len(empty)} missing weights, such as {empty[0]}")
        words, rows = len(pipeline.tokenizer), pipeline.text_encoder.config.vocab_size
        if words > rows:
            raise ValueError(f"the tokenizer has {words} words and the text encoder {rows}")
        return pipeline

    def parts(self, pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
        return {name: getattr(pipeline, name) for name in self._classes}

    def denoiser(self, pipeline: DiffusionPipeline) -> nn.Module:
        return pipeline.unet

    def text_encoder(self, pipeline: DiffusionPipeline) -> nn.Module:
        return pipeline.text_encoder

    def vae(self, pipeline: DiffusionPipeline) -> nn.Module:
        return pipeline.vae

    def image_size(self, pipeline: DiffusionPipeline) -> tuple[int, int]:
        size = pipeline.unet.config.sample_size
        rows, columns = (size, size) if isinstance(size, int) else size
        return columns * pipeline.vae_scale_factor, rows * pipeline.vae_scale_factor

    def latent_shape(
        self, pipeline: DiffusionPipeline, width: int, height: int
    ) -> tuple[int, int, int]:
        factor = pipeline.vae_scale_factor
        return pipeline.unet.config.in_channels, height // factor, width // factor

    def tokenize(self, pipeline: DiffusionPipeline, prompts: Sequence[str]) -> Tensor:
        return pipeline.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=_limit(pipeline),
            return_tensors="pt",
        ).input_ids

    def token_count(self, pipeline: DiffusionPipeline, prompt: str) -> tuple[int, int]:
        tokens = pipeline.tokenizer(prompt, truncation=False, verbose=False).input_ids
        return len(tokens), _limit(pipeline)

    def encode_prompts(self, pipeline: DiffusionPipeline, prompts: Sequence[str]) -> Tensor:
        return self.encode_tokens(pipeline, self.tokenize(pipeline, prompts))

    def encode_tokens(self, pipeline: DiffusionPipeline, tokens: Tensor) -> Tensor:
        encoder = pipeline.text_encoder
        # No attention mask: SD 1.x was trained with the padding in view.
        return encoder(tokens.to(encoder.device), return_dict=True).last_hidden_state

    def denoise(
        self,
        pipeline: DiffusionPipeline,
        *,
        scheduler: SchedulerMixin,
        prompts: Tensor,
        negatives: Tensor | None,
        noise: Tensor,
        generators: list[torch.Generator],
        steps: int,
        guidance_scale: float,
        guided: float = 1.0,
        start: Tensor | None = None,
        strength: float = 1.0,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        unet = pipeline.unet
        # While an adapter trains, the UNet's last parameters are the adapter's: its own dtype is
        # that of the first convolution.
        dtype, device = unet.conv_in.weight.dtype, unet.conv_in.weight.device
        scheduler.set_timesteps(steps, device=device)
        timesteps = scheduler.timesteps
        noise = noise.to(device)  # float32 throughout: what a step adds up is not to be rounded
        if start is None:
            latents = noise * scheduler.init_noise_sigma
        else:
            timesteps = begin_at(scheduler, steps, strength)
            latents = scheduler.add_noise(start.to(noise), noise, timesteps[:1].repeat(len(noise)))
        with_guidance = round(guided * len(timesteps)) if negatives is not None else 0
        both = prompts if negatives is None else torch.cat([negatives, prompts])
        both, prompts = both.to(device, dtype), prompts.to(device, dtype)
        takes = inspect.signature(scheduler.step).parameters
        extra = {"generator": generators} if "generator" in takes else {}
        with remembering(unet):
            for index, timestep in enumerate(timesteps):
                is_guided = index < with_guidance
                given = scheduler.scale_model_input(latents, timestep).to(dtype)
                predicted = unet(
                    torch.cat([given, given]) if is_guided else given,
                    timestep,
                    encoder_hidden_states=both if is_guided else prompts,
                    return_dict=False,
                )[0].float()
                if is_guided:
                    away, toward = predicted.chunk(2)
                    predicted = away + guidance_scale * (toward - away)
                latents = scheduler.step(predicted, timestep, latents, return_dict=False, **extra)[
                    0
                ]
                if on_step is not None:
                    on_step(index + 1, len(timesteps))
        return latents

    def decode(self, pipeline: DiffusionPipeline, latents: Tensor) -> Tensor:
        vae = pipeline.vae
        scaled = latents.to(vae.dtype) / vae.config.scaling_factor
        # One at a time: decoding takes the most memory of all, and gains nothing from batches.
        images = torch.cat([vae.decode(row[None], return_dict=False)[0] for row in scaled])
        if vae.dtype == torch.float16 and torch.isfinite(latents).all() > images.isfinite().all():
            # Some VAEs overflow in half precision. This one will again: it stays in float32.
            vae.to(torch.float32)
            return self.decode(pipeline, latents)
        return images


def _limit(pipeline: DiffusionPipeline) -> int:
    """The tokens that are read: 77. A tokenizer without settings would say a billion."""
    positions = pipeline.text_encoder.config.max_position_embeddings
    return min(pipeline.tokenizer.model_max_length, positions)
