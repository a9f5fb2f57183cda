"""Which picture formats are read. The first bytes decide; a name only helps to say why not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, BinaryIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from lensa.errors import PhotosError

_HEAD = 512  # bytes; an SVG may open with a comment


class Unusable(PhotosError):
    """One file cannot be used as a photo. `reason` says what is wrong and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        # TiffImageFile only makes the canvas itself if there is none, after comparing it with a
        # limit that is lower than ours. (Its tile size is the size before it turns upright.)
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        super().load_prepare()


def _heic(stream: BinaryIO) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise Unusable(
            "HEIC needs one more package: pip install 'lensa[photos]', or export it as JPEG"
        ) from None
    opener: Any = pillow_heif.HeifImageFile
    image: Image.Image = opener(stream)
    return image


def _avif(stream: BinaryIO) -> Image.Image:
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # before Pillow 11.3
        supported = False
    else:
        supported = AvifImagePlugin.SUPPORTED
    if not supported:
        raise Unusable("AVIF needs Pillow 11.3 or newer: update it, or export it as JPEG")
    return AvifImagePlugin.AvifImageFile(stream)


# The plugins' own classes rather than Image.open: that would warn from 89 megapixels on and refuse
# from 179, by a limit that belongs to the whole process and is not ours to change. It would also
# try formats that nobody's photos are in, and PostScript, which starts a program.
_OPENERS: dict[str, Callable[[BinaryIO], Image.Image]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "gif": GifImageFile,
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
    "tiff": _Tiff,
    "avif": _avif,
    "heic": _heic,
}

_SIGNATURES: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        ("jpeg", rb"\xff\xd8\xff"),
        ("png", rb"\x89PNG\r\n\x1a\n"),
        ("gif", rb"GIF8[79]a"),
        ("webp", rb"RIFF.{4}WEBP"),
        ("bmp", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
        ("raw", rb"II\*\0.{4}CR|.{4}ftypcrx"),  # Canon's
        ("tiff", rb"II[*+]\0|MM\0[*+]"),
        ("avif", rb".{4}ftyp.{0,48}avi[fs]"),
        ("heic", rb".{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)"),
        ("video", rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI "),
        ("document", rb"%PDF|%!PS|8BPS"),
        ("drawing", rb".*<svg[\s>]"),
        ("archive", rb"PK\x03\x04|Rar!\x1a|7z\xbc\xaf\x27"),
    )
)

_SUFFIXES = {
    "raw": ".3fr .arw .cr2 .cr3 .dng .erf .nef .nrw .orf .pef .raf .rw2 .srw .x3f",
    "video": ".avi .m4v .mkv .mov .mp4 .webm",
    "document": ".ai .eps .pdf .ps .psd .xcf",
    "drawing": ".svg .svgz",
    "archive": ".7z .rar .zip",
}

_INSTEAD = {
    "raw": "a camera's raw file: export it as JPEG or PNG",
    "video": "a video: save a few good frames as JPEG or PNG",
    "document": "a document, not a picture: export it as JPEG or PNG",
    "drawing": "an SVG drawing: export it as PNG",
    "archive": "an archive: unpack it, and give what is in it",
    "": "not a picture that can be read, whatever its name says: save it as JPEG or PNG",
}


def open_image(stream: BinaryIO, suffix: str) -> Image.Image:
    """Return the picture in `stream`, its header read but no pixel decoded.

    Raises Unusable if it is of a format that is not read, and whatever Pillow raises (anything)
    if the header is damaged.
    """
    head = stream.read(_HEAD)
    stream.seek(0)
    if not head:
        raise Unusable("empty (0 bytes): copy or download it again")
    kind = next((kind for kind, pattern in _SIGNATURES if pattern.match(head)), "")
    named = next((kind for kind, names in _SUFFIXES.items() if suffix.lower() in names.split()), "")
    if kind == "tiff" and named == "raw":
        kind = named  # most raw files are TIFFs whose first page is a thumbnail
    if kind not in _OPENERS:
        raise Unusable(_INSTEAD[kind or named])
    return _OPENERS[kind](stream)
