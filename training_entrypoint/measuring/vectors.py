"""Pictures as unit vectors, by whatever network looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

_BATCH = 16


@torch.no_grad()
def unit_vectors(
    images: Sequence[Image.Image], processor: Any, look: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the images' unit vectors, (N, D) in float32: what `look` makes of the pixels that the
    `processor` makes of them, a batch at a time."""
    rows = []
    for start in range(0, len(images), _BATCH):
        batch = [image.convert("RGB") for image in images[start : start + _BATCH]]
        pixels = processor(images=batch, return_tensors="pt")["pixel_values"]
        with torch.autocast("cpu", enabled=False):  # the training's precision is not ours
            rows.append(look(pixels.float()))
    return normalize(torch.cat(rows))
