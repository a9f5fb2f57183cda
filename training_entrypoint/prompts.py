"""The instance and class prompts as the UNet sees them."""

from __future__ import annotations

from typing import Any

import torch

from inference_entrypoint.families import family_of
from lensa.contract import TrainingConfig


class Conditioning:
    """Text embeddings of a batch; computed once if the text encoder is frozen."""

    def __init__(self, pipeline: Any, config: TrainingConfig) -> None:
        self._pipeline, self._family = pipeline, family_of(pipeline)
        prompts = [config.fill(config.instance_prompt), config.fill(config.class_prompt)]
        self._tokens = self._family.tokenize(pipeline, prompts)
        self._fixed: torch.Tensor | None = None
        if not config.train_text_encoder:
            with torch.no_grad():
                self._fixed = self._encode(2)

    def __call__(self, count: int, prior: bool) -> torch.Tensor:
        """Return (count, L, D) for the instance prompt, then as many for the class if `prior`."""
        rows = 2 if prior else 1
        embeddings = self._encode(rows) if self._fixed is None else self._fixed[:rows]
        return embeddings.repeat_interleave(count, dim=0)

    def _encode(self, rows: int) -> torch.Tensor:
        return self._family.encode_tokens(self._pipeline, self._tokens[:rows])
