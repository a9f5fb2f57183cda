"""The safety checker of Stable Diffusion: what it sees, and what is done about it.

An image is compared in CLIP's space with seventeen concepts and three that count double (Rando et
al. 2022, arXiv:2210.04610, who looked inside). What it flags is drawn once more from another seed,
and blurred if that one is flagged too: nothing is lost, and no exception ends a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from PIL import Image, ImageFilter
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize

from inference_entrypoint.families import Device
from inference_entrypoint.hub import hub_errors
from inference_entrypoint.quiet import no_bars
from lensa.errors import BaseModelError, LensaError

Redraw = Callable[[list[int]], list[Image.Image]]

# What CLIP was trained with: of red, green and blue.
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_BATCH = 8


class SafetyChecker:
    """diffusers' StableDiffusionSafetyChecker, of which only the flags are taken: its own answer
    to them is a black image."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def unsafe(self, images: Sequence[Image.Image]) -> list[bool]:
        """Return for each RGB image whether it is flagged."""
        flags: list[bool] = []
        for start in range(0, len(images), _BATCH):
            pixels = torch.stack([self._pixels(image) for image in images[start : start + _BATCH]])
            weight = self.model.visual_projection.weight
            pooled = self.model.vision_model(pixels.to(weight.device, weight.dtype))[1]
            flags += self._flags(self.model.visual_projection(pooled).float()).tolist()
        return flags

    def _pixels(self, image: Image.Image) -> Tensor:
        """Return what CLIP looks at, [3, side, side]: the middle square, small and normalised."""
        side = self.model.config.vision_config.image_size
        shorter = min(image.size)
        size = (
            max(side, int(image.width * side / shorter)),
            max(side, int(image.height * side / shorter)),
        )
        small = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        array = np.asarray(small.crop((left, top, left + side, top + side)), dtype=np.float32) / 255
        return torch.from_numpy((array - np.float32(_MEAN)) / np.float32(_DEVIATION)).permute(
            2, 0, 1
        )

    def _flags(self, embeddings: Tensor) -> Tensor:
        """Return flags [n] of CLIP embeddings [n, width], as diffusers comes to them."""

        def excess(concepts: Tensor, thresholds: Tensor) -> Tensor:
            cosine = normalize(embeddings) @ normalize(concepts.float()).T
            return cosine.cpu() - thresholds.float().cpu()

        model = self.model
        special = excess(model.special_care_embeds, model.special_care_embeds_weights)
        near = (special.round(decimals=3) > 0).any(dim=1, keepdim=True)
        # Who is near one of the three is judged a little more strictly by the others.
        excesses = excess(model.concept_embeds, model.concept_embeds_weights) + 0.01 * near
        return (excesses.round(decimals=3) > 0).any(dim=1)


def load_checker(ref: str | None, *, device: Device, dtype: torch.dtype) -> SafetyChecker | None:
    """Return the checker that a BaseModelRef names, or None if it names none.

    `ref` is a folder, a hub id, or a hub id with the folder in it that holds the checker
    ("owner/name/safety_checker"). Only safetensors are read. Raises BaseModelError.
    """
    if ref is None:
        return None
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    no_bars()
    local = Path(ref).is_dir()
    repo, _, subfolder = ref.partition("/")[2].partition("/")
    repo = ref if local else f"{ref.partition('/')[0]}/{repo}"
    subfolder = "" if local else subfolder
    try:
        with hub_errors(repo, file=f"{subfolder or 'the'} safety checker in safetensors"):
            if not local:  # transformers would tell every failure of the hub as one
                for file in ("config.json", "model.safetensors"):
                    hf_hub_download(repo, file, subfolder=subfolder or None)
            model, info = StableDiffusionSafetyChecker.from_pretrained(
                repo,
                subfolder=subfolder,
                local_files_only=local,
                use_safetensors=True,
                torch_dtype=dtype,
                output_loading_info=True,
            )
    except (BaseModelError, OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _refusal(ref, (str(error).strip() or type(error).__name__).splitlines()[0]) from error
    for key in ("missing_keys", "mismatched_keys"):
        if info[key]:
            odd = sorted(str(item) for item in info[key])[0]
            raise _refusal(ref, f"{odd} is {key.removesuffix('_keys')}.")
    return SafetyChecker(model.to(device).eval())


def checked(
    images: Sequence[Image.Image], checker: SafetyChecker, redraw: Redraw
) -> tuple[list[Image.Image], list[bool], list[bool]]:
    """Return the images, which of them are still unsafe (and blurred), and which were redrawn.

    `redraw(positions)` draws those once more, from another seed. An image that is flagged again
    counts as not redrawn: it is the first one, blurred.
    """
    result = list(images)
    unsafe = checker.unsafe(result)
    redrawn = [False] * len(result)
    flagged = [position for position, flag in enumerate(unsafe) if flag]
    if not flagged:
        return result, unsafe, redrawn
    try:
        others = redraw(flagged)
        verdicts = checker.unsafe(others)
    except (LensaError, torch.OutOfMemoryError):  # a favour: the first images are there
        others, verdicts = [result[position] for position in flagged], [True] * len(flagged)
    for position, other, bad in zip(flagged, others, verdicts, strict=True):
        result[position] = blurred(result[position]) if bad else other
        unsafe[position], redrawn[position] = bad, not bad
    return result, unsafe, redrawn


def blurred(image: Image.Image) -> Image.Image:
    """Return clouds of colour of the same size: nothing is left but 6 by 6 averages."""
    tiny = image.convert("RGB").resize((6, 6), Image.Resampling.BOX)
    soft = tiny.resize(image.size, Image.Resampling.BICUBIC)
    return soft.filter(ImageFilter.GaussianBlur(min(image.size) / 24))


def _refusal(ref: str, reason: str) -> BaseModelError:
    return BaseModelError(
        f"The safety checker {ref} cannot be loaded: {reason.rstrip('.')}. "
        "Or ask with safety=false, and look at the images yourself."
    )
