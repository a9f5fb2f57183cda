"""Another VAE in the place of a base model's own, if it speaks of the same latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from huggingface_hub import hf_hub_download, snapshot_download

from inference_entrypoint.families import family_of
from inference_entrypoint.hub import hub_errors
from inference_entrypoint.quiet import no_bars
from lensa.contract import AvatarManifest, VaeRef
from lensa.contract.families import check_vae
from lensa.contract.weights import weights_digest
from lensa.errors import ArtifactError, BaseModelError

_CONFIG = "config.json"


def vae_revision(ref: VaeRef) -> str:
    """Return what a VAE resolves to: a hub commit, or the first 16 digits of its weights' sha256.

    Raises BaseModelError, of what is no VAE too.
    """
    path, _ = _config(ref)
    if ref.source == "hub":
        return path.parent.name  # .../snapshots/<commit>/
    return weights_digest(path.parent)


def pinned_vae(manifest: AvatarManifest) -> VaeRef | None:
    """Return the VAE of an avatar that has another than its base, as it was trained with.

    Raises ArtifactError if the one that is there is not the same any more, BaseModelError if it
    cannot be had.
    """
    vae = manifest.config.vae
    if vae is None or manifest.vae_revision is None:
        return vae
    if vae.source == "hub":
        return vae.model_copy(update={"revision": manifest.vae_revision})
    revision = vae_revision(vae)
    if revision != manifest.vae_revision:
        raise ArtifactError(
            f"Avatar {manifest.avatar} was trained with the VAE {vae} at revision "
            f"{manifest.vae_revision}, and this is {revision}: put the one that it was trained "
            "with back there, or train it again."
        )
    return vae


def replace_vae(pipeline: DiffusionPipeline, ref: VaeRef) -> None:
    """Put a VAE in the place of the pipeline's own, on its device and in its numbers.

    Raises BaseModelError, before a weight is loaded, if it is no VAE or its latents are of another
    shape or scale: the UNet would see noise, and the picture would be one of noise.
    """
    path, config = _config(ref)
    own = family_of(pipeline).vae(pipeline)
    _check_latents(config, own.config, ref)
    pipeline.register_modules(vae=_load(ref, path.parent, own.device, own.dtype))


def _check_latents(config: dict[str, Any], own: Any, ref: VaeRef) -> None:
    """Raise BaseModelError for other latents than those that the base was trained on."""
    # What a config.json does not say is what diffusers takes for granted.
    channels, scale = config.get("latent_channels", 4), config.get("scaling_factor", 0.18215)
    shift = config.get("shift_factor") or 0.0
    factor = 2 ** (len(config.get("block_out_channels", [64])) - 1)
    wanted = {
        "latent channels": (channels, own.latent_channels),
        "pixels a side of a latent": (factor, 2 ** (len(own.block_out_channels) - 1)),
        "scaling factor": (scale, own.scaling_factor),
        "shift": (shift, own.shift_factor or 0.0),
    }
    for what, (has, needs) in wanted.items():
        if has != needs:
            raise BaseModelError(
                f"The VAE {ref} does not fit the base model: its {what} is {has}, and the base was "
                f"trained with {needs}. Take one that was made for it, or leave it out."
            )


def _load(ref: VaeRef, folder: Path, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    no_bars()
    if ref.source == "hub":
        with hub_errors(ref.location, ref.revision):
            files = [_CONFIG, "diffusion_pytorch_model.safetensors"]
            folder = Path(
                snapshot_download(ref.location, revision=folder.name, allow_patterns=files)
            )
    try:
        vae, info = AutoencoderKL.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:400].rstrip(".")
        raise BaseModelError(f"The VAE {ref} cannot be loaded: {reason}.") from error
    for key in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if info[key]:
            odd = ", ".join(sorted(str(name) for name in info[key])[:3])
            raise BaseModelError(f"The VAE {ref} has {key.replace('_', ' ')}, such as {odd}.")
    return vae.eval().to(device)


def _config(ref: VaeRef) -> tuple[Path, dict[str, Any]]:
    """Return where a VAE's config.json is, and what it says. Raises BaseModelError."""
    path = _hub_config(ref) if ref.source == "hub" else _folder(ref) / _CONFIG
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise BaseModelError(f"The VAE {ref} has no {_CONFIG} that can be read.")
    check_vae(config, str(ref))
    return path, config


def _hub_config(ref: VaeRef) -> Path:
    with hub_errors(ref.location, ref.revision, _CONFIG):
        return Path(hf_hub_download(ref.location, _CONFIG, revision=ref.revision))


def _folder(ref: VaeRef) -> Path:
    folder = Path(ref.location)
    if not folder.is_dir():
        raise BaseModelError(f"The VAE {ref} is not there: no such folder.")
    return folder
