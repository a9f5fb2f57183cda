"""Photo sets of two real subjects, made from the pictures that ship inside scikit-image."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageEnhance
from skimage import data

# Head and shoulders of the astronaut, the head of the cat: (left, top, right, bottom).
ASTRONAUT = (96, 0, 352, 256)
CHELSEA = (85, 0, 385, 300)

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825


def augmented(image: Image.Image, count: int, seed: int = 0) -> list[Image.Image]:
    """Return `count` photos that could be of the same subject on the same day.

    Crops of 78 to 92 percent, turned by up to 7 degrees, lighter or darker. Never mirrored: a
    face has a left and a right side.
    """
    draw = random.Random(seed)
    photos = []
    for _ in range(count):
        width, height = image.size
        turned = image.rotate(
            draw.uniform(-7, 7),
            Image.Resampling.BICUBIC,
            fillcolor=image.getpixel((2, 2)),
        )
        share = draw.uniform(0.78, 0.92)
        size = (round(width * share), round(height * share))
        left = round(draw.uniform(0.25, 0.75) * (width - size[0]))
        top = round(draw.uniform(0.25, 0.75) * (height - size[1]))
        photo = turned.crop((left, top, left + size[0], top + size[1]))
        photo = ImageEnhance.Brightness(photo).enhance(draw.uniform(0.85, 1.15))
        photo = ImageEnhance.Contrast(photo).enhance(draw.uniform(0.9, 1.1))
        photos.append(photo)
    return photos


def astronaut_photos(folder: Path, count: int = 8) -> Path:
    """Write photos of Eileen Collins into a new folder, and return it."""
    return _write(folder, Image.fromarray(data.astronaut()).crop(ASTRONAUT), count)


def chelsea_photos(folder: Path, count: int = 8) -> Path:
    """Write photos of Chelsea the cat into a new folder, and return it."""
    return _write(folder, Image.fromarray(data.chelsea()).crop(CHELSEA), count)


def _write(folder: Path, image: Image.Image, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(augmented(image, count), start=1):
        # Every third one was taken with the camera on its side.
        orientation, turn = (6, Image.Transpose.ROTATE_90) if number % 3 == 0 else (1, None)
        pixels = photo.transpose(turn) if turn is not None else photo
        pixels = pixels.resize((600, 600), Image.Resampling.LANCZOS)
        pixels.save(folder / f"{number}.jpg", quality=95, exif=phone_exif(orientation))
    return folder


def phone_exif(orientation: int = 1) -> Image.Exif:
    """Return what a phone writes into a photo, the place included."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Phonemaker"
    exif[0x0132] = "2024:05:01 12:00:00"
    exif.get_ifd(_EXIF_IFD)[0x9003] = "2024:05:01 12:00:00"
    gps = exif.get_ifd(_GPS_IFD)
    gps[1], gps[2] = "N", (29.0, 33.0, 33.0)
    gps[3], gps[4] = "W", (95.0, 5.0, 21.0)
    return exif
