"""The LoRA in diffusers' form, as the training wrote it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from inference_entrypoint.exporting.writing import need_space, whole

_ADAPTER = "lora_adapter_metadata"  # diffusers' key: peft's settings, by network
_ORIGIN = "base_model_name_or_path"


def save_lora(source: Path, target: Path, *, force: bool = False) -> None:
    """Copy a LoRA byte by byte. Raises StorageError."""
    with whole(target, force=force) as partial:
        need_space(target, source.stat().st_size)
        shutil.copyfile(source, partial)


def without_origin(source: Path) -> bytes:
    """Return a LoRA's file without the folder that its base came from.

    peft notes it: for a base on a disk it is a path on somebody's machine. The tensors and all
    other settings are the same.
    """
    with safe_open(source, "pt") as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    settings = json.loads(metadata.get(_ADAPTER, "{}"))
    kept = {key: value for key, value in settings.items() if not key.endswith(_ORIGIN)}
    if settings:
        metadata[_ADAPTER] = json.dumps(kept, indent=2, sort_keys=True)
    return save(tensors, metadata)
