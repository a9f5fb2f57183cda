"""Which networks look at the images: those that were asked for, or what can be had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image
from torch import Tensor

from lensa.contract import TrainingConfig
from lensa.contract.bases import EMBEDDER
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
    decides: bool = True  # whether a step may be chosen by it: not by what knows other pictures


# Those that look at images alone: CLIP reads the prompts beside them.
_OWN: dict[str, Callable[[], Embedder]] = {"dinov2": load_dinov2, "face": Faces}


def find_embedders(config: TrainingConfig, base: Path | None = None) -> Looking:
    """Return what measures a training: what is asked for, else what the base names, else the
    packaged one, else nothing. `base` is the folder that the base comes from, if it is one: it
    may hold an `embedder` beside the base's own parts."""
    texts, notes, ref = _first_clip(_clips(config, base))
    images: Embedder | None = texts
    if config.embedder in _OWN:
        try:
            images = _OWN[config.embedder]()
        except Exception as error:  # whatever a library comes up with
            name = texts.name if texts is not None else "nothing"
            notes.append(f"{_said(error)} Likeness is measured by {name} in its place.")
    decides = ref != PACKAGED or config.base.embedder == PACKAGED
    if not decides and config.early_stopping != "off":
        notes.append(
            f"{texts.name if texts is not None else ref} decides nothing: it knows drawn avatars, "
            "not what this base draws. All steps are trained, and the last one is exported."
        )
    return Looking(images, texts, tuple(notes), decides)


def _clips(config: TrainingConfig, base: Path | None) -> list[str]:
    """Return what may be loaded as CLIP, the best first."""
    refs = [EMBEDDER] if config.embedder == "clip" else []
    if base is None and config.base.source == "folder":
        base = Path(config.base.location)
    if base is not None and (base / "embedder").is_dir():  # no hub is asked
        refs.append(str(base / "embedder"))
    if config.base.embedder is not None:
        refs.append(config.base.embedder)
    return list(dict.fromkeys([*refs, PACKAGED]))


def _first_clip(refs: list[str]) -> tuple[Clip | None, list[str], str | None]:
    """Return the first that can be loaded, what is to be said about those that cannot, and which
    one it is."""
    failed: list[str] = []
    for ref in refs:
        try:
            found = load_clip(ref)
        except Exception as error:
            failed.append(_said(error))
            continue
        if not failed:
            return found, [], ref
        drawn = ", which knows drawn avatars: of photos it tells little" if ref == PACKAGED else ""
        return found, [f"{failed[0]} Images are measured by {found.name} in its place{drawn}."], ref
    return None, [f"{failed[0]} Validation images are drawn, and measured by nothing."], None


def _said(error: Exception) -> str:
    """Return what is wrong as a sentence."""
    return f"{(str(error).strip() or type(error).__name__).splitlines()[0].rstrip('.')}."
