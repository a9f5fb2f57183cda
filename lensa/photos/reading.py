"""Read one photo, whatever it turns out to be: an upright sRGB picture, or a reason why not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from PIL import Image, ImageFile

from lensa.photos.bounds import affordable, check_size, count_scans
from lensa.photos.colour import plain, to_srgb
from lensa.photos.formats import Unusable, open_image

__all__ = ["Opener", "Picture", "read_picture"]

Opener = Callable[[], "BinaryIO | Image.Image"]

# EXIF orientation (Exif 2.3, 4.6.4) -> what makes it upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769
_CHANGED, _TAKEN, _FRACTION = 0x0132, 0x9003, 0x9291


@dataclass(frozen=True)
class Picture:
    """A photo that was read."""

    image: Image.Image  # RGB in sRGB, upright, without metadata; perhaps smaller than the original
    size: tuple[int, int]  # of the original, upright
    taken: datetime | None  # by its camera's clock


def read_picture(open_it: Opener, suffix: str, min_side: int, enough: int | None = None) -> Picture:
    """Return a photo as 8-bit sRGB, upright, without metadata; transparency becomes white.

    `min_side` is the least its shorter side may measure, in pixels. `enough` saves time and
    memory: if the shorter side is at least twice that, the picture comes back smaller, but not
    smaller than `enough`. Raises Unusable, and nothing else.
    """
    try:
        opened = open_it()
        if isinstance(opened, Image.Image):
            return _read(opened, 1, min_side, enough, given=True)
        with closing(opened):
            image = open_image(opened, suffix)
            jpeg = image.format in ("JPEG", "MPO") and image.info.get("progressive")
            return _read(image, count_scans(opened) if jpeg else 1, min_side, enough)
    except Unusable:
        raise
    except PermissionError:
        raise Unusable("no permission to read it: chmod u+r makes it readable") from None
    except (MemoryError, Image.DecompressionBombError):  # of WebP, Pillow reads 179 megapixels
        raise Unusable("too many pixels for this machine: save it smaller") from None
    except Exception:  # decoders raise all sorts of things, from struct.error to AssertionError
        raise Unusable("incomplete or damaged: copy it again from where it came") from None


def _read(
    image: Image.Image, scans: int, min_side: int, enough: int | None, *, given: bool = False
) -> Picture:
    size = image.size
    check_size(*size, min_side)
    _check_single(image)
    if enough and image.format == "JPEG" and not given:
        image.draft(None, (enough, enough))  # JPEG decodes to 1/2, 1/4 or 1/8 for less
    factor = min(image.size) // enough if enough else 1
    with affordable(image, size, scans, shrinks=factor > 1):
        # A picture that a caller holds may be given twice, and Pillow loads it in place.
        with _whole_pictures_only(), _loading if given else nullcontext():
            image.load()
        profile = image.info.get("icc_profile")
        exif = _exif(image)
        upright = _upright(image, profile, factor, exif.orientation)
    turned = exif.orientation in (5, 6, 7, 8)
    return Picture(upright, (size[1], size[0]) if turned else size, exif.taken)


def _upright(
    image: Image.Image, profile: bytes | None, factor: int, orientation: int
) -> Image.Image:
    image = plain(image)
    if factor > 1:
        image = image.reduce(factor)
    image = to_srgb(image, profile)  # a new one, even of what is sRGB already
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    image.info.clear()
    return image


def _check_single(image: Image.Image) -> None:
    # A HEIC with several pictures says which is the main one, and Pillow gives that.
    if getattr(image, "is_animated", False) and image.format not in ("HEIF", "MPO"):
        if image.format == "TIFF":
            raise Unusable("several pages: save the one you want as JPEG or PNG")
        raise Unusable("animated: save the frame you want as JPEG or PNG")


@dataclass(frozen=True)
class _Exif:
    orientation: int = 1
    taken: datetime | None = None


def _exif(image: Image.Image) -> _Exif:
    try:
        tags = image.getexif()
        orientation = int(tags.get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF does not make a damaged picture
        return _Exif()
    try:
        camera = tags.get_ifd(_EXIF_IFD)
        text = str(camera.get(_TAKEN) or tags.get(_CHANGED))
        fraction = str(camera.get(_FRACTION, "0")).strip("\0 ")
        taken = datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S")
        if fraction.isdecimal() and fraction.isascii():
            taken = taken.replace(microsecond=int(f"{fraction:0<6.6}"))
    except Exception:
        return _Exif(orientation)
    return _Exif(orientation, taken)


_loading = threading.Lock()
_decoding = threading.Lock()
_decoders = 0
_asked_for = False


@contextmanager
def _whole_pictures_only() -> Iterator[None]:
    """Refuse half-grey pictures even where a notebook asked Pillow for them.

    Pillow has one flag a process. It is at its default as long as any thread decodes; the first
    one in remembers what the notebook asked for, and the last one out puts that back.
    """
    global _decoders, _asked_for
    with _decoding:
        if _decoders == 0:
            _asked_for = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _decoders += 1
    try:
        yield
    finally:
        with _decoding:
            _decoders -= 1
            if _decoders == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = _asked_for
