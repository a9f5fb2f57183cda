"""What is specific to an architecture, behind one protocol.

A new family is a module here, a line in `FAMILIES`, and its names in `lensa.contract.families`.
Training, generation and export talk to a `Family` and never name an attribute of a pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import DiffusionPipeline, SchedulerMixin
from torch import Tensor, nn

from inference_entrypoint.families.stable_diffusion import StableDiffusion

Device = torch.device | str


class Family(Protocol):
    """An architecture: how it is loaded, what it consists of, how it reads text and draws."""

    name: str
    pipeline_class: type[DiffusionPipeline]
    # choice -> part -> the layers that a LoRA goes beside, by the end of their names
    lora_targets: Mapping[str, Mapping[str, tuple[str, ...]]]

    def load_folder(
        self, folder: Path, *, device: Device, dtype: torch.dtype, variant: str | None = None
    ) -> DiffusionPipeline:
        """Load a diffusers folder. OSError and ValueError of the libraries pass through."""
        ...

    def load_part(
        self,
        name: str,
        folder: Path,
        *,
        dtype: torch.dtype,
        variant: str | None = None,
        subfolder: str = "",
    ) -> nn.Module:
        """Load one network; ValueError if a tensor is missing, unknown or has another shape."""
        ...

    def load_file(
        self, file: Path, config: Path, *, device: Device, dtype: torch.dtype
    ) -> DiffusionPipeline:
        """Load a single-file checkpoint; `config` is a diffusers folder without weights."""
        ...

    def parts(self, pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
        """Return the networks by name: "unet", "text_encoder", "vae"."""
        ...

    def denoiser(self, pipeline: DiffusionPipeline) -> nn.Module:
        """Return the network that training is about."""
        ...

    def text_encoder(self, pipeline: DiffusionPipeline) -> nn.Module: ...

    def vae(self, pipeline: DiffusionPipeline) -> nn.Module: ...

    def image_size(self, pipeline: DiffusionPipeline) -> tuple[int, int]:
        """Return the (width, height) in pixels that the base was made for."""
        ...

    def latent_shape(
        self, pipeline: DiffusionPipeline, width: int, height: int
    ) -> tuple[int, int, int]:
        """Return (channels, rows, columns) of one image's latents."""
        ...

    def tokenize(self, pipeline: DiffusionPipeline, prompts: Sequence[str]) -> Tensor:
        """Return token ids [n, 77], cut and padded."""
        ...

    def token_count(self, pipeline: DiffusionPipeline, prompt: str) -> tuple[int, int]:
        """Return (tokens of the prompt, tokens that the encoder reads), both with start and end."""
        ...

    def encode_prompts(self, pipeline: DiffusionPipeline, prompts: Sequence[str]) -> Tensor:
        """Return the text encoder's last hidden states [n, 77, width]; gradients flow if asked."""
        ...

    def encode_tokens(self, pipeline: DiffusionPipeline, tokens: Tensor) -> Tensor:
        """The same from token ids [n, 77]."""
        ...

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
        on_step: Any = None,
    ) -> Tensor:
        """Return the latents [n, channels, rows, columns] at the end of the schedule, float32.

        The first `guided` share of the steps is guided, by `negatives`. With `start`, latents of
        the same shape, only the last `strength` share of the schedule is walked, from there.
        """
        ...

    def decode(self, pipeline: DiffusionPipeline, latents: Tensor) -> Tensor:
        """Return images [n, 3, height, width], nominally in [-1, 1], not clamped."""
        ...


FAMILIES: dict[str, Family] = {family.name: family for family in (StableDiffusion(),)}


def family(name: str) -> Family:
    """Return a family by the name that the contract gives it."""
    return FAMILIES[name]


def family_of(pipeline: DiffusionPipeline) -> Family:
    """Return the family of a loaded pipeline."""
    for candidate in FAMILIES.values():
        if isinstance(pipeline, candidate.pipeline_class):
            return candidate
    raise TypeError(f"{type(pipeline).__name__} belongs to no family")
