"""How blurred a picture is, whatever it shows and however large it is."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter, ImageStat

_TAPS = 4  # to each side, as in the paper
_NOISE = 3  # of 255: smaller steps between neighbours are grain and rounding
_TILES = 4  # a side


def blur(grey: Image.Image) -> float | None:
    """Return from 0 (sharp) to 1 (blurred); None where there is nothing to see, as in a blue sky.

    Blurring a sharp picture changes its neighbouring pixels a lot, blurring a blurred one hardly
    (Crete et al. 2007, The blur effect). The worse of the two directions counts: a shaken picture
    is blurred in one of them. `grey` is in mode L, 24 px a side or more.
    """
    found = [_along(grey, vertical) for vertical in (False, True)]
    if None in found:
        return None
    return max(value for value in found if value is not None)


def blur_of_sharpest(grey: Image.Image) -> float | None:
    """Like `blur`, of the sharper parts of the picture: where nobody knows the subject's place."""
    width, height = grey.width // _TILES, grey.height // _TILES
    if min(width, height) < 24:
        return blur(grey)
    tiles = [
        grey.crop((x * width, y * height, (x + 1) * width, (y + 1) * height))
        for y in range(_TILES)
        for x in range(_TILES)
    ]
    found = sorted(value for tile in tiles if (value := blur(tile)) is not None)
    return found[len(found) // 4] if found else None


def _along(grey: Image.Image, vertical: bool) -> float | None:
    radius = (0, _TAPS) if vertical else (_TAPS, 0)
    before = _steps(grey, vertical)
    after = _steps(grey.filter(ImageFilter.BoxBlur(radius)), vertical)
    total = _sum(before)
    if total < 0.5 * before.width * before.height:
        return None
    return 1 - _sum(ImageChops.subtract(before, after)) / total


def _steps(grey: Image.Image, vertical: bool) -> Image.Image:
    """The difference of each pixel to its neighbour."""
    width, height = grey.size
    dx, dy = (0, 1) if vertical else (1, 0)
    first = grey.crop((0, 0, width - dx, height - dy))
    second = grey.crop((dx, dy, width, height))
    steps = ImageChops.difference(first, second)
    return steps.point([0 if value < _NOISE else value for value in range(256)])


def _sum(image: Image.Image) -> float:
    return ImageStat.Stat(image).sum[0]
