"""What is said of an export.

What readers show beside a file is all of it text, and none of it a name or a path of anybody's.
"""

from __future__ import annotations

import json

from lensa.contract import AvatarManifest


def modelspec(manifest: AvatarManifest, architecture: str) -> dict[str, str]:
    """Return the metadata that Stability's ModelSpec 1.0.0 defines."""
    side = manifest.config.resolution
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": architecture,
        "modelspec.implementation": "https://github.com/CompVis/stable-diffusion",
        "modelspec.title": manifest.avatar,
        "modelspec.trigger_phrase": manifest.config.subject,
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.date": manifest.trained_at.isoformat(timespec="seconds"),
    }


def vae_notes(manifest: AvatarManifest) -> list[str]:
    """Return what the user of a LoRA has to know of its VAE: programs take the base's own."""
    vae = manifest.config.vae
    return [] if vae is None else [f"it was trained with the VAE {vae}: choose it there."]


def kohya_metadata(manifest: AvatarManifest) -> dict[str, str]:
    """Return the `ss_*` metadata of sd-scripts: what AUTOMATIC1111 shows of a LoRA, and what the
    LoRA browsers of ComfyUI do."""
    config, photos = manifest.config, len(manifest.photo_digests)
    folder = f"1_{config.subject}"  # sd-scripts' "repeats_words", where they keep the photos
    # A1111's "Date trained" is the beginning; what is known is the end.
    trained = f"{manifest.trained_at.timestamp():.0f}"
    return {
        "ss_output_name": manifest.avatar,  # A1111 takes it for the name in <lora:NAME:1>
        "ss_sd_model_name": config.base.name,
        "ss_base_model_version": "sd_v1",
        "ss_v2": "False",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(config.lora_rank),
        "ss_network_alpha": str(config.lora_alpha or config.lora_rank),
        "ss_resolution": f"({config.resolution}, {config.resolution})",
        "ss_num_train_images": str(photos),
        "ss_num_reg_images": str(config.class_images if config.prior_preservation else 0),
        "ss_steps": str(manifest.steps_trained),
        "ss_learning_rate": str(config.learning_rate),
        "ss_mixed_precision": "no" if manifest.precision == "fp32" else manifest.precision,
        "ss_seed": str(manifest.seed),
        "ss_training_started_at": trained,
        "ss_training_finished_at": trained,
        "ss_dataset_dirs": json.dumps({folder: {"n_repeats": 1, "img_count": photos}}),
        "ss_tag_frequency": json.dumps({folder: {config.subject: max(photos, 1)}}),
        **modelspec(manifest, "stable-diffusion-v1/lora"),
    }
