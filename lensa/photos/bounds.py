"""How much one photo may cost. Checked before anything is decoded: nothing can be stopped after."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image

from lensa.photos.formats import Unusable

MAX_PIXELS = 250_000_000  # phones end at 200 million
MAX_FILE = 200_000_000  # bytes; 24 megapixels of 16-bit TIFF are 144 million
MAX_MEMORY = 450_000_000  # bytes, for one picture at its largest

_LARGE = 125_000_000  # bytes: only one picture of these at a time, however many threads there are
_MAX_WORK = 2_000_000_000  # pixels of a JPEG times its scans; a camera's has up to 10 scans

# Bytes a pixel while it is decoded, brought to 8 bits and made smaller, all copies included.
_BY_FORMAT = {"HEIF": 12, "AVIF": 12, "WEBP": 8, "GIF": 9}
_BY_MODE = {"1": 2, "L": 1, "P": 5, "RGB": 4, "CMYK": 8}
_OTHERWISE = 10
_WHOLE = 8  # more, if it is not made smaller: converted to sRGB, and turned, as it is

_one_large = threading.Lock()


def check_file(size: int) -> None:
    """Raise Unusable for a file of more than MAX_FILE bytes."""
    if size > MAX_FILE:
        raise Unusable(
            f"{size // 1_000_000} MB, more than {MAX_FILE // 1_000_000}: export it as JPEG"
        )


def check_size(width: int, height: int, min_side: int) -> None:
    """Raise Unusable for a picture of too many pixels, or too few."""
    if width * height > MAX_PIXELS:
        raise Unusable(
            f"{width} x {height} px are {width * height // 1_000_000} megapixels, "
            f"more than {MAX_PIXELS // 1_000_000}: save it smaller"
        )
    if min(width, height) < min_side:
        raise Unusable(
            f"{width} x {height} px is too small: both sides need {min_side} px or more; "
            "use a larger original"
        )


@contextmanager
def affordable(
    image: Image.Image, full_size: tuple[int, int], scans: int, *, shrinks: bool
) -> Iterator[None]:
    """Hold the right to decode a picture; Unusable if that takes too much memory or time.

    `full_size` is what its file says; `image.size` may be a fraction of that (JPEG). `scans` is how
    often a JPEG goes over its picture; `shrinks`, whether it is made smaller once decoded.
    """
    pixels = full_size[0] * full_size[1]
    if pixels * scans > _MAX_WORK:
        raise Unusable("a progressive JPEG of too many passes: save it anew as an ordinary JPEG")
    each = _BY_FORMAT.get(image.format or "", _BY_MODE.get(image.mode, _OTHERWISE))
    memory = image.width * image.height * (each if shrinks else each + _WHOLE)
    if scans > 1:  # all coefficients are held until the last scan: 2 bytes each
        memory += pixels * 2 * len(image.getbands())
    if memory > MAX_MEMORY:
        raise Unusable(
            f"{full_size[0]} x {full_size[1]} px would take {memory // 1_000_000} MB to decode, "
            f"more than {MAX_MEMORY // 1_000_000}: save it smaller, or as an ordinary JPEG"
        )
    if memory < _LARGE:
        yield
        return
    with _one_large:
        yield


def count_scans(stream: BinaryIO) -> int:
    """Return how many scans a JPEG has, or a few more: thumbnails inside it count too."""
    place = stream.tell()
    stream.seek(0)
    found, rest = 0, b""
    while chunk := stream.read(1 << 20):
        found += (rest + chunk).count(b"\xff\xda")
        rest = chunk[-1:]
    stream.seek(place)
    return max(found, 1)
