"""The whole model as a diffusers folder."""

from __future__ import annotations

import json
from pathlib import Path

from diffusers import StableDiffusionPipeline

from inference_entrypoint.exporting.writing import in_precision, need_space, total_bytes, whole
from inference_entrypoint.families import family_of
from lensa.contract.exports import ExportPrecision

_ORIGINS = ("_name_or_path", "name_or_path")


def save_folder(
    pipeline: StableDiffusionPipeline,
    target: Path,
    *,
    precision: ExportPrecision = "fp16",
    force: bool = False,
) -> None:
    """Write what `StableDiffusionPipeline.from_pretrained` loads, of a pipeline without adapters.

    The pipeline is in that precision afterwards. Raises ArtifactError, StorageError.
    """
    size = 0
    for name, part in family_of(pipeline).parts(pipeline).items():
        state = in_precision({f"{name}.{k}": v for k, v in part.state_dict().items()}, precision)
        size += total_bytes(state)
        part.load_state_dict({k.removeprefix(f"{name}."): v for k, v in state.items()}, assign=True)
    with whole(target, force=force) as partial:
        need_space(target, size)
        pipeline.save_pretrained(partial, safe_serialization=True)
        for file in (partial / "model_index.json", *partial.glob("*/*config.json")):
            _forget_origin(file)


def _forget_origin(file: Path) -> None:
    """The libraries note the folder that a network came from: a path on somebody's machine."""
    settings = json.loads(file.read_text())
    kept = {key: value for key, value in settings.items() if key not in _ORIGINS}
    if kept != settings:
        file.write_text(json.dumps(kept, indent=2) + "\n")
