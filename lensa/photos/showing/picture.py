"""A prepared photo, to look at."""

from __future__ import annotations

import io

from PIL import Image

from lensa.photos.photoset import Photo

_PALE = 0.75  # how much of what is outside a mask turns into paper
_PAPER = "#fbfaf7"


def seen(photo: Photo) -> Image.Image:
    """Return a prepared photo in RGB; what a mask leaves out is pale."""
    with Image.open(io.BytesIO(photo.png)) as picture:
        if not photo.masked:
            return picture.convert("RGB")
        whole, mask = picture.convert("RGB"), picture.getchannel("A")
    pale = Image.blend(whole, Image.new("RGB", whole.size, _PAPER), _PALE)
    return Image.composite(whole, pale, mask)
