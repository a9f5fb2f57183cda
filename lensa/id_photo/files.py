"""Pictures for printing: files that say how large they are on paper."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from lensa.errors import ConfigError, StorageError
from lensa.photos.photoset import write_whole

_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".tif": ("TIFF", {"compression": "tiff_lzw"}),
    ".tiff": ("TIFF", {"compression": "tiff_lzw"}),
}


def check_file(file: Path) -> tuple[str, dict[str, Any]]:
    """Return the format that a file's name asks for, and its options. Raises ConfigError."""
    suffix = file.suffix.lower()
    if suffix not in _FORMATS:
        raise ConfigError(f"{file}: name it .png, .jpg or .tif.")
    return _FORMATS[suffix]


def write_picture(image: Image.Image, file: Path, dpi: int) -> Path:
    """Write a picture whole or not at all, and return where. Raises ConfigError, StorageError."""
    format, options = check_file(file)
    buffer = io.BytesIO()
    image.save(buffer, format, dpi=(dpi, dpi), **options)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, buffer.getvalue())
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror or error}.") from None
    return file
