"""The LoRA as kohya's sd-scripts name it, which AUTOMATIC1111 and ComfyUI read.

A layer's name has its dots turned into underscores; what is multiplied first is `lora_down`, then
`lora_up`, and both together count `alpha` / rank. Of DoRA (Liu et al. 2024, arXiv:2402.09353) the
length of each row of the weights is `dora_scale`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from inference_entrypoint.exporting.describing import kohya_metadata, vae_notes
from inference_entrypoint.exporting.writing import in_precision, need_space, total_bytes, whole
from lensa.contract import AvatarManifest, TrainingConfig
from lensa.contract.exports import ExportPrecision
from lensa.errors import ArtifactError

PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_"}
_DOWN, _UP, _LENGTHS = ".lora_A", ".lora_B", ".lora_magnitude_vector"


def save_kohya(
    source: Path,
    target: Path,
    manifest: AvatarManifest,
    *,
    precision: ExportPrecision = "fp16",
    force: bool = False,
) -> list[str]:
    """Write an avatar's LoRA, `source`, in kohya's form, and return what its user has to know.

    Neither the base nor a GPU is needed. Raises ArtifactError, StorageError.
    """
    with safe_open(source, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    made = in_precision(kohya_tensors(tensors, manifest.config), precision)
    with whole(target, force=force) as partial:
        need_space(target, total_bytes(made))
        save_file(made, partial, metadata=kohya_metadata(manifest))
    return [*vae_notes(manifest), *_notes(made)]


def kohya_tensors(tensors: dict[str, Tensor], config: TrainingConfig) -> dict[str, Tensor]:
    """Return the tensors of a LoRA in diffusers' form under kohya's names, with their alphas."""
    alpha = torch.tensor(float(config.lora_alpha or config.lora_rank))
    made: dict[str, Tensor] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        path, mark, side = rest.rpartition(".lora_")
        side = (mark + side).removesuffix(".weight")
        if part not in PREFIXES or not path:
            raise ArtifactError(f"{name} is no tensor of a LoRA of UNet and text encoder.")
        stem = PREFIXES[part] + path.replace(".", "_")
        if side == _DOWN:
            made[f"{stem}.lora_down.weight"] = value
            made[f"{stem}.alpha"] = alpha
        elif side == _UP:
            made[f"{stem}.lora_up.weight"] = value
        elif side == _LENGTHS:
            # peft has [out], of a convolution [1, out, 1, 1]; here it stands beside the rows.
            rows = value[:, None] if value.ndim == 1 else value.transpose(0, 1)
            made[f"{stem}.dora_scale"] = rows
        else:
            raise ArtifactError(f"{name}: kohya's form has no name for it.")
    return made


def _notes(tensors: Iterable[str]) -> list[str]:
    if any(name.endswith(".dora_scale") for name in tensors):
        return [
            "it was trained with DoRA, which programs read each in their own way (lengths along "
            "the other side, or of the weights before): if the person is not right there, export "
            "a checkpoint."
        ]
    return []
