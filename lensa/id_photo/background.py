"""One plain colour behind a person."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter

_RIM = 0.006  # of the picture's height: what a mask has too much at the hair
_FEATHER = 0.004  # likewise: how soft the edge is


def on_plain(image: Image.Image, mask: Image.Image, colour: str) -> Image.Image:
    """Return an RGB picture with `colour` where its mask (L, of its size) is 0.

    A mask rather holds a rim of the old background than cuts the hair: it is drawn in a little,
    and its edge made soft.
    """
    rim, feather = _RIM * image.height, _FEATHER * image.height
    # Blurred, and of the slope the upper part: the edge moves inward. A rank filter would do the
    # same at the square of the rim's cost.
    drawn_in = mask.filter(ImageFilter.GaussianBlur(rim)).point(_steeper)
    soft = drawn_in.filter(ImageFilter.GaussianBlur(feather))
    soft = ImageChops.darker(soft, mask)
    return Image.composite(image, Image.new("RGB", image.size, colour), soft)


def _steeper(value: float) -> float:
    return max(0.0, min(255.0, (value - 150) * 255 / 80))
