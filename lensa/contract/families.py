"""The architectures that lensa can train and serve, told apart before a weight is loaded.

Two places name an architecture: `model_index.json` of a diffusers folder, and the tensor names in
the header of a single-file checkpoint. A new family is one entry here and one module in
`inference_entrypoint/families`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lensa.errors import BaseModelError

# family -> the pipeline classes of diffusers that belong to it
FAMILIES: dict[str, frozenset[str]] = {
    "stable-diffusion": frozenset({"StableDiffusionPipeline"}),
}

# A tensor whose name starts so is found in checkpoints of that architecture only. First match wins.
_CHECKPOINT_MARKS = (
    ("conditioner.embedders.1.", "StableDiffusionXLPipeline"),
    ("conditioner.embedders.0.model.", "StableDiffusionXLImg2ImgPipeline"),
    ("joint_blocks.", "StableDiffusion3Pipeline"),
    ("model.diffusion_model.joint_blocks.", "StableDiffusion3Pipeline"),
    ("double_blocks.", "FluxPipeline"),
    ("model.diffusion_model.double_blocks.", "FluxPipeline"),
    ("cond_stage_model.model.", "StableDiffusion 2.x (OpenCLIP text encoder)"),
    ("cond_stage_model.transformer.", "StableDiffusionPipeline"),
)


def family_of_index(model_index: Mapping[str, Any], where: str) -> str:
    """Return the family named by a parsed `model_index.json`; BaseModelError if unsupported."""
    return _family(str(model_index.get("_class_name")), where)


def family_of_tensors(names: Iterable[str], where: str) -> str:
    """Return the family of a single-file checkpoint with these tensor names."""
    keys = list(names)
    for mark, pipeline in _CHECKPOINT_MARKS:
        if any(key.startswith(mark) for key in keys):
            return _family(pipeline, where)
    raise BaseModelError(
        f"{where} is not a whole Stable Diffusion checkpoint (no text encoder in it). "
        "Give a checkpoint of UNet, VAE and text encoder; a LoRA is not a base model."
    )


def check_vae(config: Mapping[str, Any], where: str) -> None:
    """Raise BaseModelError if the parsed `config.json` of a model is no VAE's."""
    found = config.get("_class_name")
    if found != "AutoencoderKL":
        raise BaseModelError(
            f"{where} is {f'a {found}' if found else 'no model of diffusers'}, and a VAE in the "
            "base's place has to be an AutoencoderKL, such as stabilityai/sd-vae-ft-mse."
        )


def _family(pipeline: str, where: str) -> str:
    for family, pipelines in FAMILIES.items():
        if pipeline in pipelines:
            return family
    supported = ", ".join(sorted(name for names in FAMILIES.values() for name in names))
    raise BaseModelError(
        f"{where} is a {pipeline}, which lensa does not support. Supported: {supported} "
        "(SD 1.x and models finetuned from it)."
    )
