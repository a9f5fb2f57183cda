"""Photos whose subject's outline is known: composed ones of a real person, and drawn people."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from photos.coach.scenes import CLOSE_UP, FULL_BODY, UPPER_BODY, person_and_mask, some_place
from PIL import Image

from lensa.photos.crop import square
from lensa.photos.detectors import Detector, Face
from lensa.photos.maskers import Masker

_BACKGROUNDS = 9


@dataclass(frozen=True)
class Outlined:
    """A photo, and where its subject is (mode L, 255 or 0)."""

    source: str
    photo: Image.Image
    mask: Image.Image


def composed(seed: int) -> Iterator[Outlined]:
    """Eileen Collins in every framing before every background."""
    rng = random.Random(seed)
    for background in range(_BACKGROUNDS):
        for framing in (CLOSE_UP, UPPER_BODY, FULL_BODY):
            yield Outlined(framing, *person_and_mask(rng, some_place(rng, background), framing))


def drawn(seed: int, count: int, size: int = 256) -> Iterator[Outlined]:
    """Held-out people of mini, one photo of each."""
    from mini import drawing
    from mini.subjects import photo_pictures

    plain = [f'<rect width="256" height="256" fill="{colour}"/>' for colour in ("#f0f", "#0f0")]
    for subject in range(seed * count, (seed + 1) * count):
        picture = photo_pictures(subject, 1)[0]
        views = []
        for colour in plain:
            with patch.object(drawing, "_background", lambda *_, colour=colour: colour):
                view = drawing._rasterise(drawing._svg(picture), size).convert("RGB")
            views.append(np.asarray(view, dtype=int))
        inside = np.abs(views[0] - views[1]).max(-1) < 128
        mask = Image.fromarray((inside * 255).astype(np.uint8))
        yield Outlined("drawn", drawing.draw(picture, size), mask)


def judged(
    outlined: Outlined, masker: Masker, detector: Detector | None
) -> tuple[float, float] | None:
    """Intersection over union of the mask with the truth, and how much of the subject it keeps,
    both in the square that is trained on; None if the masker cannot tell.

    Where the detector misses the face, nobody is told to have looked.
    """
    faces: list[Face] = [] if detector is None else detector.faces(outlined.photo)
    box = square(*outlined.photo.size, faces)
    inside = [face.within(box[0], box[1], 1.0) for face in faces]
    mask = masker.mask(outlined.photo.crop(box), inside or None)
    if mask is None:
        return None
    found = np.asarray(mask) > 127
    true = np.asarray(outlined.mask.crop(box)) > 127
    both = (found & true).sum()
    return float(both / (found | true).sum()), float(both / true.sum())
