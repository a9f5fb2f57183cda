"""How light or dark a picture is, where its light comes from and what colour it has."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageStat


@dataclass(frozen=True)
class Light:
    """Luminances of a picture or of a part of it, from 0 to 255, and its colours' balance."""

    dark: float  # the 5th percentile
    middle: float  # the median
    bright: float  # the 95th percentile
    blown: float  # share of pixels without drawing, as they are white in all three channels
    from_left: float  # (left - right) / (left + right), of the two halves' means: -1 to 1
    warmth: float  # (red - blue) / (red + blue): -1 to 1


def light(image: Image.Image) -> Light:
    """Measure an RGB picture; a small one is enough."""
    grey = image.convert("L")
    histogram = grey.histogram()
    half = max(1, grey.width // 2)
    left = _mean(grey.crop((0, 0, half, grey.height)))
    right = _mean(grey.crop((grey.width - half, 0, grey.width, grey.height)))
    red, green, blue = image.split()
    red_mean, blue_mean = _mean(red), _mean(blue)
    white = _least_of_three(red, green, blue).histogram()
    return Light(
        dark=_percentile(histogram, 0.05),
        middle=_percentile(histogram, 0.5),
        bright=_percentile(histogram, 0.95),
        blown=sum(white[250:]) / (image.width * image.height),
        from_left=(left - right) / max(1.0, left + right),
        warmth=(red_mean - blue_mean) / max(1.0, red_mean + blue_mean),
    )


def _least_of_three(red: Image.Image, green: Image.Image, blue: Image.Image) -> Image.Image:
    from PIL import ImageChops

    return ImageChops.darker(ImageChops.darker(red, green), blue)


def _mean(grey: Image.Image) -> float:
    return ImageStat.Stat(grey).mean[0]


def _percentile(histogram: list[int], share: float) -> float:
    left = share * sum(histogram)
    for value, count in enumerate(histogram):
        left -= count
        if left <= 0:
            return float(value)
    return 255.0
