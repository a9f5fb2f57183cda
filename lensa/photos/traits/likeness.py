"""Which pictures are copies of one another, also cropped a little, lighter, or mirrored."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from operator import mul

from PIL import Image, ImageOps

_SIDE = 16  # of the hash: 256 bits
_THUMBNAIL = 32


@dataclass(frozen=True)
class Print:
    """What is left of a picture to know it again."""

    bits: int  # is each pixel lighter than the one to its right? (difference hash, dHash)
    mirrored_bits: int
    pixels: tuple[float, ...] = field(repr=False)  # 32 x 32, of mean 0 and length 1
    mirrored_pixels: tuple[float, ...] = field(repr=False)


def print_of(grey: Image.Image) -> Print:
    """Return the print of a picture in mode L."""
    small = grey.resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX, reducing_gap=2)
    mirrored = ImageOps.mirror(small)
    return Print(_bits(small), _bits(mirrored), _normal(small), _normal(mirrored))


def correlation(first: Print, second: Print, *, mirrored: bool = False) -> float:
    """How alike two pictures are, -1 to 1, whatever their brightness and contrast."""
    other = second.mirrored_pixels if mirrored else second.pixels
    total: float = sum(map(mul, first.pixels, other))
    return total


def distance(first: Print, second: Print, *, mirrored: bool = False) -> int:
    """In how many of 256 bits two pictures differ; quick, and enough to rule most pairs out."""
    other = second.mirrored_bits if mirrored else second.bits
    return (first.bits ^ other).bit_count()


def _bits(small: Image.Image) -> int:
    raw = small.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX).tobytes()
    value = 0
    for row in range(_SIDE):
        line = raw[row * (_SIDE + 1) : (row + 1) * (_SIDE + 1)]
        for left, right in pairwise(line):
            value = value << 1 | (left > right)
    return value


def _normal(small: Image.Image) -> tuple[float, ...]:
    raw = small.tobytes()
    mean = sum(raw) / len(raw)
    length = sum((value - mean) ** 2 for value in raw) ** 0.5
    if not length:
        return (0.0,) * len(raw)
    return tuple((value - mean) / length for value in raw)
