"""Photos of one person in several places, made from the pictures that ship inside scikit-image.

Eileen Collins is cut out of her portrait and put before other backgrounds, in a suit of another
colour and another light. The head itself never turns: what depends on that is not measured here.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter
from skimage import data

CLOSE_UP, UPPER_BODY, FULL_BODY = "close-up", "upper body", "full body"
_BODY = 190  # pixels from the top: the suit begins
_OUTLINE = [
    *((20, 511), (40, 330), (130, 262), (178, 225), (160, 180), (158, 95), (178, 38), (222, 8)),
    *((268, 22), (296, 70), (300, 150), (282, 212), (330, 240), (420, 270), (470, 340), (490, 511)),
]


@dataclass(frozen=True)
class Place:
    """Where and how photos are taken; the same place gives much the same background."""

    background: int
    suit: float  # how far the suit's hue is turned, 0 to 1
    brightness: float = 1.0
    warmth: float = 0.0  # -1 (blue) to 1 (red)
    from_left: float = 0.0  # -1 to 1


def some_place(rng: random.Random, background: int) -> Place:
    """Somewhere that differs in everything."""
    return Place(
        background,
        suit=rng.random(),
        brightness=rng.uniform(0.75, 1.2),
        warmth=rng.uniform(-0.7, 0.7),
        from_left=rng.uniform(-0.7, 0.7),
    )


def person(rng: random.Random, place: Place, framing: str, count: int = 1) -> Image.Image:
    """A photo of her; with `count` 2 there is a second face beside hers."""
    return person_and_mask(rng, place, framing, count)[0]


def person_and_mask(
    rng: random.Random, place: Place, framing: str, count: int = 1
) -> tuple[Image.Image, Image.Image]:
    """The same, and where she is: mode L, 255 or 0."""
    (least, most), (width, height) = {
        CLOSE_UP: ((1.0, 1.15), (300, 280)),
        UPPER_BODY: ((0.85, 1.0), (440, 480)),
        FULL_BODY: ((0.55, 0.62), (760, 1200)),
    }[framing]
    scale = rng.uniform(least, most)
    size = (round(width * scale) + 160 * (count - 1), round(height * scale))
    photo, mask = background(rng, place.background, size), Image.new("L", size)
    figure = _cutout(round(place.suit * 255), framing == FULL_BODY)
    figure = figure.rotate(rng.uniform(-5, 5), Image.Resampling.BICUBIC, center=(225, 200))
    figure = figure.resize(
        (round(figure.width * scale), round(figure.height * scale)), Image.Resampling.LANCZOS
    )
    top = round(size[1] * rng.uniform(0.02, 0.06))
    middle = size[0] * rng.uniform(0.46, 0.54)
    for place_of_one in range(count):
        shift = (place_of_one - (count - 1) / 2) * 200
        corner = (round(middle + shift - 225 * scale), top)
        photo.paste(figure, corner, figure)
        mask.paste(255, corner, figure)
    return relit(photo, place), mask


def background(rng: random.Random, index: int, size: tuple[int, int]) -> Image.Image:
    """The `index`-th background, seen from about the same place."""
    source = _backgrounds()[index % len(_backgrounds())]
    share = rng.uniform(0.8, 0.95)
    width, height = round(source.width * share), round(source.height * share)
    left = rng.randint(0, source.width - width)
    top = rng.randint(0, source.height - height)
    part = source.crop((left, top, left + width, top + height))
    return part.resize(size, Image.Resampling.BICUBIC)


def relit(photo: Image.Image, place: Place) -> Image.Image:
    photo = ImageEnhance.Brightness(photo).enhance(place.brightness)
    red, green, blue = photo.split()
    red = red.point([min(255, round(v * (1 + 0.18 * place.warmth))) for v in range(256)])
    blue = blue.point([min(255, round(v * (1 - 0.25 * place.warmth))) for v in range(256)])
    photo = Image.merge("RGB", (red, green, blue))
    shade = Image.linear_gradient("L").rotate(90 if place.from_left > 0 else -90)
    strength = abs(place.from_left) * 0.7
    shade = shade.point([round(255 - strength * (255 - v)) for v in range(256)])
    return ImageChops.multiply(photo, Image.merge("RGB", [shade.resize(photo.size)] * 3))


@functools.cache
def _backgrounds() -> list[Image.Image]:
    pictures = [
        Image.fromarray(pixels).convert("RGB")
        for pixels in (data.coffee(), data.rocket(), data.stereo_motorcycle()[0])
    ]
    for pixels, dark, light in (
        (data.grass(), "#143a0a", "#a8d070"),
        (data.brick(), "#5a2418", "#e0a080"),
        (data.gravel(), "#3a3a48", "#d8d8d0"),
    ):
        low, high = Image.new("RGB", (512, 512), dark), Image.new("RGB", (512, 512), light)
        pictures.append(Image.composite(high, low, Image.fromarray(pixels)))
    for sky, ground in (("#9ac4e8", "#c8b078"), ("#e8e4dc", "#8a5a3a"), ("#30406a", "#1a1a22")):
        picture = Image.new("RGB", (512, 512), sky)
        picture.paste(ground, (0, 330, 512, 512))
        noise = Image.effect_noise((512, 512), 30).convert("RGB")
        pictures.append(Image.blend(picture.filter(ImageFilter.GaussianBlur(12)), noise, 0.08))
    return pictures


@functools.cache
def _cutout(hue: int, legs: bool) -> Image.Image:
    whole = Image.fromarray(data.astronaut())
    tones, saturation, value = whole.convert("HSV").split()
    turned = tones.point([(tone + hue) % 256 for tone in range(256)])
    suit = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    whole.paste(suit.crop((0, _BODY, 512, 512)), (0, _BODY), _collar())
    mask = Image.new("L", whole.size)
    ImageDraw.Draw(mask).polygon(_OUTLINE, fill=255)
    figure = whole.copy()
    figure.putalpha(mask.filter(ImageFilter.GaussianBlur(3)))
    if not legs:
        return figure
    tall = Image.new("RGBA", (512, 1180))
    tall.paste(figure)
    draw = ImageDraw.Draw(tall)
    colour = (*suit.getpixel((250, 500)), 255)
    for left in (120, 270):
        draw.polygon(
            [(left - 20, 508), (left + 140, 508), (left + 110, 1180), (left, 1180)], colour
        )
    return tall


def _collar() -> Image.Image:
    """Where the suit is: not over the chin and the neck."""
    mask = Image.new("L", (512, 512 - _BODY), 255)
    ImageDraw.Draw(mask).ellipse((165, -150, 295, 40), fill=0)
    return mask.filter(ImageFilter.GaussianBlur(4))


def different(rng: random.Random, count: int, offset: int = 0) -> list[Place]:
    return [some_place(rng, offset + index) for index in range(count)]


def framings(count: int) -> Sequence[str]:
    """12 to 5 to 3, as it should be."""
    return [
        CLOSE_UP
        if index % 20 in {0, 2, 3, 5, 7, 8, 10, 12, 13, 15, 17, 18}
        else FULL_BODY
        if index % 20 in {4, 9, 16}
        else UPPER_BODY
        for index in range(count)
    ]
