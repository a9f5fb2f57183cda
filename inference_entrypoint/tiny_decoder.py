"""TAESD, a tiny autoencoder that was taught to decode as Stable Diffusion's own does: a preview's
quality, for a small part of the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError

from inference_entrypoint.families import Device
from inference_entrypoint.hub import hub_errors
from inference_entrypoint.quiet import no_bars
from lensa.errors import BaseModelError

TINY_DECODER = "madebyollin/taesd"  # of SD 1.x


def load_tiny_decoder(
    ref: str = TINY_DECODER, *, device: Device, dtype: torch.dtype
) -> AutoencoderTiny:
    """Return a tiny autoencoder, from the hub or a folder. Raises BaseModelError."""
    no_bars()
    local = Path(ref).is_dir()
    try:
        with hub_errors(ref, file="a tiny autoencoder in safetensors"):
            if not local:  # diffusers would tell every failure of the hub as one
                hf_hub_download(ref, "config.json")
            decoder, info = AutoencoderTiny.from_pretrained(
                ref,
                local_files_only=local,
                use_safetensors=True,
                torch_dtype=dtype,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BaseModelError(f"The tiny decoder {ref} cannot be loaded: {first}") from error
    if odd := sorted(map(str, info["missing_keys"])):
        raise BaseModelError(f"The tiny decoder {ref} is incomplete: {odd[0]} is missing.")
    return decoder.to(device).eval()


def check_fits(pipeline: DiffusionPipeline, decoder: AutoencoderTiny) -> None:
    """Raise BaseModelError if its latents are of another shape than the base's."""
    own = pipeline.vae
    factors = [2 ** (len(vae.config.block_out_channels) - 1) for vae in (own, decoder)]
    channels = [vae.config.latent_channels for vae in (own, decoder)]
    if factors[0] != factors[1] or channels[0] != channels[1]:
        raise BaseModelError(
            f"The tiny decoder makes {factors[1]} pixels of a latent of {channels[1]} channels, "
            f"this base {factors[0]} of {channels[0]}: it is for another kind of base."
        )


@contextmanager
def decoding_with(pipeline: DiffusionPipeline, decoder: AutoencoderTiny) -> Iterator[None]:
    """Decode with this one; afterwards with the base's own again. Raises as `check_fits` does."""
    check_fits(pipeline, decoder)
    own = pipeline.vae
    pipeline.register_modules(vae=decoder)
    try:
        yield
    finally:
        pipeline.register_modules(vae=own)
