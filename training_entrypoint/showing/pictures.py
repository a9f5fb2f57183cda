"""Small pictures for the chart and the report: nothing but their pixels goes along."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def small(file: Path, side: int) -> Image.Image | None:
    """Return an image in RGB, `side` pixels at most, or None if it cannot be read."""
    try:
        with Image.open(file) as image:
            image.thumbnail((side, side))
            copy = Image.new("RGB", image.size)  # without what a file says of its origin
            copy.paste(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None
    return copy


def data_uri(image: Image.Image, quality: int = 80) -> str:
    """Return an image as a part of a page."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality)
    return f"data:image/webp;base64,{b64encode(stream.getvalue()).decode()}"


def spread(steps: Sequence[int], most: int, kept: int | None = None) -> list[int]:
    """Return `most` of the steps at most: the first, the last, `kept`, and others evenly between.

    `most` is 3 or more.
    """
    steps = sorted(steps)
    if len(steps) <= most:
        return steps
    chosen = {steps[0], steps[-1]} | ({kept} & {*steps})
    for number in range(1, most - 1):
        if len(chosen) == most:
            break
        chosen.add(steps[round(number * (len(steps) - 1) / (most - 1))])
    return sorted(chosen)
