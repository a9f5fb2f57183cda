"""PNG files that Pillow does not write."""

from __future__ import annotations

import struct
import zlib


def png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """Return an RGB PNG of `bits` a channel. `rows` may be shorter than the header promises."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def chunk_names(data: bytes) -> list[bytes]:
    """Return the names of a PNG's chunks, in their order."""
    names, place = [], 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        names.append(data[place + 4 : place + 8])
        place += 12 + length
    return names
