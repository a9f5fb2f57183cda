"""The prompts of photos and class images, and what the UNet sees of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from inference_entrypoint.families import family_of
from lensa.contract import TrainingConfig
from lensa.errors import PhotosError

_BATCH = 32  # prompts that are encoded at once


@dataclass
class Prompts:
    """Each prompt once, and by its number which of them goes with which image."""

    texts: list[str] = field(default_factory=list)
    instance: list[int] = field(default_factory=list)
    prior: list[int] = field(default_factory=list)

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)


def read_captions(photos: Sequence[Path]) -> dict[Path, str]:
    """Return the captions that lie beside photos: "photo.txt", or "photo.<digest>.txt" as lensa
    writes them. Raises PhotosError for one that is no text."""
    captions: dict[Path, str] = {}
    for folder in {photo.parent for photo in photos}:
        texts = {path.name.partition(".")[0]: path for path in sorted(folder.glob("*.txt"))}
        for photo in photos:
            text = texts.get(photo.name.partition(".")[0]) if photo.parent == folder else None
            if text is None:
                continue
            try:
                caption = " ".join(text.read_text(encoding="utf-8-sig").split())
            except (OSError, UnicodeDecodeError) as error:
                raise PhotosError(
                    f"{text.name}, the caption of {photo.name}, cannot be read: {error}."
                ) from None
            if caption:
                captions[photo] = caption
    return captions


class Conditioning:
    """Text embeddings of a batch; computed once if the text encoder is frozen."""

    def __init__(self, pipeline: Any, config: TrainingConfig, prompts: Prompts) -> None:
        self._pipeline, self._family = pipeline, family_of(pipeline)
        self._prompts = prompts
        self._tokens = self._family.tokenize(pipeline, prompts.texts)
        self._fixed: torch.Tensor | None = None
        if not config.train_text_encoder:
            with torch.no_grad():
                self._fixed = torch.cat([self._encode(part) for part in self._tokens.split(_BATCH)])

    def __call__(self, instance: Sequence[int], prior: Sequence[int] = ()) -> torch.Tensor:
        """Return the embeddings, (n, L, D), of these photos and then of these class images."""
        rows = [self._prompts.instance[pick] for pick in instance]
        rows += [self._prompts.prior[pick] for pick in prior]
        if self._fixed is not None:
            return self._fixed[rows]
        used = sorted(set(rows))  # each prompt goes through the text encoder once
        return self._encode(self._tokens[used])[[used.index(row) for row in rows]]

    def _encode(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._family.encode_tokens(self._pipeline, tokens)
