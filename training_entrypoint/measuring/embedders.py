"""Which network looks at the images: the one that was asked for, or what can be had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image
from torch import Tensor

from lensa.contract import TrainingConfig
from lensa.errors import LensaError
from training_entrypoint.measuring.clip import Clip, load_clip
from training_entrypoint.measuring.dinov2 import load_dinov2
from training_entrypoint.measuring.faces import Faces

PACKAGED = "package:lensa_mini"  # small, and of drawn avatars; better than nothing offline


class Embedder(Protocol):
    """Turns pictures into unit vectors, of which alike ones have a high cosine."""

    name: str

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return (N, D) in float32; a row of NaN where there is nothing to look at, as no face."""
        ...


@dataclass(frozen=True)
class Looking:
    """Who looks at the images, and who reads the prompts; None: nobody can."""

    images: Embedder | None
    texts: Clip | None
    notes: tuple[str, ...] = ()  # what could not be had, and what takes its place


# Those that look at images alone: CLIP reads the prompts beside them.
_OWN: dict[str, Callable[[], Embedder]] = {"dinov2": load_dinov2, "face": Faces}


def find_embedders(config: TrainingConfig, base: Path | None = None) -> Looking:
    """Return what measures a training: what is asked for, else what the base names, else the
    packaged one, else nothing. `base` is a folder that may hold an `embedder` of the base's own."""
    notes: list[str] = []

    def first(what: str, loads: Iterable[Callable[[], Embedder]]) -> Embedder | None:
        failed: list[str] = []
        for load in loads:
            try:
                found = load()
            except (LensaError, ImportError) as error:
                failed.append(str(error).rstrip("."))
                continue
            if failed:
                notes.append(f"{failed[0]}. {what} by {found.name} in its place.")
            return found
        notes.append(f"{failed[0] if failed else 'the base names no embedder'}. {what} by nothing.")
        return None

    def clips() -> Iterable[Callable[[], Clip]]:
        if base is not None and (base / "embedder").is_dir():
            yield lambda: load_clip(str(base / "embedder"))
        for ref in dict.fromkeys([config.base.embedder, PACKAGED]):
            if ref is not None:
                yield lambda ref=ref: load_clip(ref)

    wanted = getattr(config, "embedder", "auto")
    texts = first("Validation images are measured", clips())
    assert texts is None or isinstance(texts, Clip)
    if wanted not in _OWN:
        return Looking(texts, texts, tuple(notes))
    own = [_OWN[wanted], *([lambda: texts] if texts is not None else [])]
    return Looking(first("Likeness is measured", own), texts, tuple(notes))
