"""Whatever a file's pixels mean, as sRGB."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

from lensa.photos.formats import Unusable

_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # as ICC and as Pillow call them


def plain(image: Image.Image) -> Image.Image:
    """Return the picture in 8 bits a channel, without palette: mode L, RGB, RGBA or CMYK."""
    mode = image.mode
    if mode in ("I", "F", "LAB", "HSV"):
        raise Unusable(f"colours of a kind that is not read ({mode}): export it as 8-bit JPEG")
    if mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 instead of scaling.
        return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if mode == "1":
        return image.convert("L")
    return image if mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a `plain` picture as RGB in sRGB, what was transparent now white.

    `profile` is the file's ICC profile. One that cannot be read, or that is made for other
    channels than these, is ignored, as browsers do.
    """
    if image.mode != "RGBA":
        return _convert(image, profile)
    flat = Image.new("RGB", image.size, "white")
    flat.paste(_convert(image.convert("RGB"), profile), mask=image.getchannel("A"))
    return flat


def _convert(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = _MODE_OF_SPACE.get(source.profile.xcolor_space.strip())
            if mode == "RGB" and image.mode == "L":
                image = image.convert("RGB")  # grey, but saved with the camera's profile
            if mode == image.mode:
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
                assert converted is not None  # None is for inPlace
                return converted
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass
    return image.convert("RGB")
