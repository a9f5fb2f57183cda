"""Few-step drawing with the hub's weights: a LoRA that makes a base draw in four steps or eight.

    load_accelerator(pipeline, "lcm")
    with applied(pipeline, {FEW_STEP: 1.0, **avatars}):
        ...  # the steps and the solver that lensa.contract.generation.FEW_STEPS says, no guidance

"lcm" is LCM-LoRA (Luo et al. 2023, arXiv:2311.05556), "hyper-4" and "hyper-8" are Hyper-SD (Ren et
al. 2024, arXiv:2404.13686). They are for SD 1.x alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from diffusers import DiffusionPipeline
from huggingface_hub import hf_hub_download
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from inference_entrypoint.adapters import LowRank, drop_lora, insert
from inference_entrypoint.families import family_of
from inference_entrypoint.hub import hub_errors
from lensa.contract.generation import FewStep
from lensa.errors import BaseModelError, ConfigError, suggest

FEW_STEP = "few-step"  # the adapter's name in the pipeline


@dataclass(frozen=True)
class Accelerator:
    """A LoRA of the hub."""

    repo: str
    file: str


ACCELERATORS: dict[FewStep, Accelerator] = {
    "lcm": Accelerator("latent-consistency/lcm-lora-sdv1-5", "pytorch_lora_weights.safetensors"),
    "hyper-4": Accelerator("ByteDance/Hyper-SD", "Hyper-SD15-4steps-lora.safetensors"),
    "hyper-8": Accelerator("ByteDance/Hyper-SD", "Hyper-SD15-8steps-lora.safetensors"),
}


def load_accelerator(pipeline: DiffusionPipeline, name: FewStep, file: Path | None = None) -> None:
    """Put an accelerator into the pipeline as the adapter `FEW_STEP`, in the place of another one.

    `file`: a copy of it on this machine; None asks the hub. Raises ConfigError if there is none of
    that name, BaseModelError if it cannot be had or does not fit the base.
    """
    if name not in ACCELERATORS:
        raise ConfigError(f"No accelerator {name!r}.{suggest(name, ACCELERATORS)}")
    accelerator = ACCELERATORS[name]
    if file is None:
        with hub_errors(accelerator.repo, file=accelerator.file):
            file = Path(hf_hub_download(accelerator.repo, accelerator.file))
    layers = _read(file, family_of(pipeline).denoiser(pipeline))
    drop_lora(pipeline, FEW_STEP)
    insert(pipeline, "unet", layers, FEW_STEP, waiting=True)


def _read(file: Path, unet: nn.Module) -> dict[str, LowRank]:
    """Return an accelerator's layers by their names in the UNet; all of the file's have a place.

    A layer's name comes as `lora_unet_mid_block_...` with lora_down, lora_up and alpha, or as
    `unet.mid_block...` with lora_A and lora_B. (diffusers' own conversion of the first kind
    misnames four layers, and mislays the alpha of every attention.)
    """
    try:
        with safe_open(file, "pt") as source:
            tensors = {key: source.get_tensor(key).clone() for key in source.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BaseModelError(f"{file} is not a whole safetensors file: {error}") from None
    found: dict[str, LowRank] = {}
    for path, module in unet.named_modules():
        for stem, sides in (
            ("lora_unet_" + path.replace(".", "_"), ("lora_down", "lora_up")),
            ("unet." + path, ("lora_A", "lora_B")),
        ):
            down, up = (tensors.pop(f"{stem}.{side}.weight", None) for side in sides)
            alpha = tensors.pop(f"{stem}.alpha", None)
            if down is None and up is None:
                continue
            if down is None or up is None or not _fits(module, down, up):
                raise BaseModelError(f"{file.name} does not fit this base: see its {stem}.")
            scale = float(down.shape[0] if alpha is None else alpha)
            found[path] = LowRank(down, up, scale)
    if tensors or not found:
        odd = min(tensors, default="nothing in it")
        raise BaseModelError(f"{file.name} does not fit this base: {odd} belongs to no layer.")
    return found


def _fits(module: nn.Module, down: Tensor, up: Tensor) -> bool:
    base = module.base_layer if isinstance(module, LoraLayer) else module
    if not isinstance(base, nn.Linear | nn.Conv2d) or not down.numel():
        return False
    size = tuple(base.weight.shape)
    point = (1,) * (len(size) - 2)
    rank = down.shape[0]
    return tuple(down.shape) == (rank, *size[1:]) and tuple(up.shape) == (size[0], rank, *point)
