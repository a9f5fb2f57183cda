"""Photos that were measured, without pixels: for rules alone."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

from lensa.photos.detectors import Face
from lensa.photos.measure import Measured
from lensa.photos.traits.light import Light
from lensa.photos.traits.likeness import Print
from lensa.photos.traits.overlays import Overlays

GOOD_LIGHT = Light(30, 120, 220, 0.0, 0.0, 0.1)


def face(height: float = 400, **fields: Any) -> Face:
    return Face(left=350, top=150, width=height, height=height, **fields)


def measured(number: int, **fields: Any) -> Measured:
    """A good photo, unlike any other number's."""
    rng = random.Random(number)
    tone = (number * 37) % 100
    plain: dict[str, Any] = {
        "name": f"{number}.jpg",
        "width": 1000,
        "height": 1000,
        "faces": None,
        "detector": None,
        "taken": datetime(2026, 1, 1 + number % 28, 12),
        "blur": 0.3,
        "light": GOOD_LIGHT,
        "subject_light": Light(30, 80 + tone, 220, 0.0, 0.1 * (number % 3), 0.05 * (number % 4)),
        "print": Print(rng.getrandbits(256), rng.getrandbits(256), _noise(rng), _noise(rng)),
        "overlays": Overlays((0.0, 0.0, 0.0, 0.0), 0.0, 0),
        "background": {number: 1.0},
        "clothes": {number: 1.0},
    }
    return Measured(**{**plain, **fields})


def _noise(rng: random.Random) -> tuple[float, ...]:
    values = [rng.gauss(0, 1) for _ in range(1024)]
    length = sum(value**2 for value in values) ** 0.5
    return tuple(value / length for value in values)
