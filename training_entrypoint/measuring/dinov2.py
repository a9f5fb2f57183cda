"""DINOv2 (Oquab et al. 2023, arXiv:2304.07193): what a picture shows, without words.

It learned from pictures alone, and tells one subject of a class from another better than CLIP does,
to which all of them are "a dog".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from inference_entrypoint.hub import hub_errors
from inference_entrypoint.quiet import no_bars
from lensa.errors import BaseModelError
from training_entrypoint.measuring.vectors import unit_vectors

DINOV2, REVISION = "facebook/dinov2-small", "ed25f3a31f01632728cabb09d1542f84ab7b0056"  # 90 MB


class Dinov2:
    """A `transformers.Dinov2Model` on the CPU: an image's vector is that of its class token."""

    def __init__(self, name: str, model: Any, processor: Any) -> None:
        self.name = name
        self._model, self._processor = model.float().eval(), processor

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the images' unit vectors, (N, D) in float32."""
        return unit_vectors(
            images, self._processor, lambda pixels: self._model(pixel_values=pixels).pooler_output
        )


def load_dinov2(ref: str = DINOV2) -> Dinov2:
    """Return DINOv2 from the hub or a folder; BaseModelError if it cannot be had."""
    from transformers import Dinov2Model
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    no_bars()
    local = Path(ref).is_dir()
    revision = REVISION if ref == DINOV2 else "main"
    source: dict[str, Any] = {"local_files_only": local, "revision": revision}
    try:
        with hub_errors(ref, revision, file="config.json"):
            if not local:
                hf_hub_download(ref, "config.json", revision=revision)
            processor = BitImageProcessorPil.from_pretrained(ref, **source)
            model = Dinov2Model.from_pretrained(
                ref, **source, use_safetensors=True, dtype=torch.float32
            )
    except (BaseModelError, OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BaseModelError(f"DINOv2 cannot be loaded: {first}") from error
    return Dinov2(f"dinov2 {Path(ref).name}", model, processor)
