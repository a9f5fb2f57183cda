"""Which colours a part of a picture has: enough to know a wall, or a pullover, again."""

from __future__ import annotations

from collections import Counter

from PIL import Image, ImageStat

Palette = dict[int, float]  # bin -> share; the shares add up to 1

_BINS = 6  # to each of the three axes
_SAMPLE = 16  # pixels a side are looked at


def palette(parts: list[Image.Image]) -> Palette | None:
    """Return the colours of some RGB parts of one picture together; None without any."""
    counts: Counter[int] = Counter()
    total = 0.0
    for part in parts:
        if min(part.size) < 2:
            continue
        small = part.resize((_SAMPLE, _SAMPLE), Image.Resampling.BOX).convert("YCbCr")
        area = part.width * part.height / _SAMPLE**2
        raw = small.tobytes()
        for y, cb, cr in zip(raw[0::3], raw[1::3], raw[2::3], strict=True):
            for place, weight in _bins(y, cb, cr):
                counts[place] += weight * area  # type: ignore[assignment]
        total += area * _SAMPLE**2
    if not total:
        return None
    return {place: weight / total for place, weight in counts.items()}


def in_the_light_of(part: Image.Image, face: Image.Image) -> Image.Image:
    """Return a part of an RGB picture with its colours as if the face were grey.

    The same pullover has other colours in the sun than under a lamp; so has the face above it.
    """
    factors = [120 / max(8.0, value) for value in ImageStat.Stat(face).median]
    channels = [
        channel.point([min(255, round(value * factor)) for value in range(256)])
        for channel, factor in zip(part.split(), factors, strict=True)
    ]
    return Image.merge("RGB", channels)


def alike(first: Palette, second: Palette) -> float:
    """How much two palettes have in common: 0 (nothing) to 1 (the same)."""
    return sum(min(share, second.get(place, 0.0)) for place, share in first.items())


def _axis(value: float) -> tuple[tuple[int, float], tuple[int, float]]:
    """The two nearest bins, and how much of the value falls into each."""
    place = min(max(value, 0.0), 1.0) * (_BINS - 1)
    low = min(int(place), _BINS - 2)
    return (low, 1 - (place - low)), (low + 1, place - low)


_LUMA = [_axis(value / 255) for value in range(256)]
# Real colours lie close to grey: the two axes of colour show their middle half in full.
_CHROMA = [_axis((value - 64) / 128) for value in range(256)]


def _bins(y: int, cb: int, cr: int) -> list[tuple[int, float]]:
    return [
        ((a * _BINS + b) * _BINS + c, p * q * r)
        for a, p in _LUMA[y]
        for b, q in _CHROMA[cb]
        for c, r in _CHROMA[cr]
        if p * q * r > 0
    ]
