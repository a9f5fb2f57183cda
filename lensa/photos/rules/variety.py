"""What all photos of a set have in common, and should not."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, pstdev

from lensa.photos.finding import Finding
from lensa.photos.measure import Measured
from lensa.photos.traits.palette import Palette, alike

FEWEST, FEW, PLENTY = 4, 10, 20
_LEAST = 4  # photos, to speak of a set
THROUGHOUT = 0.7  # of the photos
SAME_BACKGROUND, SAME_CLOTHES = 0.50, 0.55  # of the colours
SAME_LIGHT = (12.0, 0.05, 0.015)  # spread of the subject's median, of left to right, of warmth
SAME_ANGLE = 0.03  # spread of how far heads are turned
SESSION_MINUTES = 30


def variety(photos: Sequence[Measured], kind: str) -> list[Finding]:
    """What is to be said of the set as a whole, whoever is in it."""
    found = [
        _few(photos),
        _throughout(
            [photo.background for photo in photos],
            SAME_BACKGROUND,
            "same_background",
            "the background is much the same throughout",
            "the model cannot tell the subject from the place, and draws the place everywhere",
            "take some against other backgrounds: another room, outdoors, a plain wall; "
            "or train with --masked-loss, in Python masked_loss=True",
        ),
        _light(photos),
        _session(photos),
    ]
    if kind == "person":
        found.insert(2, _clothes(photos))
        found.append(_angle(photos))
    return [finding for finding in found if finding is not None]


def _few(photos: Sequence[Measured]) -> Finding | None:
    if len(photos) >= FEW:
        return None
    return Finding(
        "few_photos",
        "stop" if len(photos) < FEWEST else "advise",
        (),
        f"{len(photos)} {'photo' if len(photos) == 1 else 'photos'} can be read",
        "with few photos the model learns the pictures instead of the subject",
        f"{FEW} to {PLENTY} different ones do well",
    )


def _clothes(photos: Sequence[Measured]) -> Finding | None:
    return _throughout(
        [photo.clothes for photo in photos],
        SAME_CLOTHES,
        "same_clothes",
        "the clothes are much the same throughout",
        "what never changes belongs to the person: the avatars wear it under everything",
        "change clothes for some of the photos",
    )


def _throughout(
    palettes: Sequence[Palette | None], least: float, code: str, what: str, why: str, do: str
) -> Finding | None:
    known = [palette for palette in palettes if palette is not None]
    if len(known) < max(_LEAST, len(palettes) / 2):
        return None
    near = max(sum(alike(one, other) >= least for other in known) for one in known)
    if near < THROUGHOUT * len(known):
        return None
    return Finding(code, "advise", (), f"{what} ({near} of {len(known)} photos)", why, do)


def _light(photos: Sequence[Measured]) -> Finding | None:
    lights = [photo.subject_light for photo in photos]
    if len(lights) < _LEAST:
        return None
    spreads = (
        _spread([light.middle for light in lights]),
        _spread([light.from_left for light in lights]),
        _spread([light.warmth for light in lights]),
    )
    if any(spread > most for spread, most in zip(spreads, SAME_LIGHT, strict=True)):
        return None
    return Finding(
        "same_light",
        "advise",
        (),
        "the light is the same throughout: as bright, from the same side, of the same colour",
        "the avatars keep that light, whatever the prompt asks for",
        "take some by a window, some outdoors, some in the evening",
    )


def _spread(values: Sequence[float]) -> float:
    """Like a standard deviation, and blind to a few photos that are dark or have no face."""
    middle = median(values)
    return 1.48 * median(abs(value - middle) for value in values)


def _angle(photos: Sequence[Measured]) -> Finding | None:
    turned = [
        photo.face.turned
        for photo in photos
        if photo.face is not None and photo.face.turned is not None
    ]
    if len(turned) < _LEAST or pstdev(turned) > SAME_ANGLE:
        return None
    return Finding(
        "same_angle",
        "advise",
        (),
        "the head is turned the same way throughout",
        "the avatars look one way only, and a turned head is guessed",
        "look a little to the left in some, to the right in others, and up and down",
    )


def _session(photos: Sequence[Measured]) -> Finding | None:
    times = sorted(photo.taken.replace(tzinfo=None) for photo in photos if photo.taken is not None)
    if len(times) < max(_LEAST, len(photos) * 0.9):
        return None
    minutes = (times[-1] - times[0]).total_seconds() / 60
    if minutes > SESSION_MINUTES:
        return None
    return Finding(
        "one_session",
        "advise",
        (),
        f"all were taken within {max(1, round(minutes))} minutes",
        "hair, clothes, light and mood are those of one occasion, and so will the avatars be",
        "add photos of other days",
    )
