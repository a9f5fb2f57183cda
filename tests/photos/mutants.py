"""Pictures of every format, damaged in every way that files get damaged, and then on purpose.

As a program it reads them one after the other, under the eyes of a clock of CPU time: a file that
keeps the reader busy for longer than the limit ends the process by a signal.
"""

from __future__ import annotations

import io
import json
import random
import signal
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, features

from lensa.photos.formats import Unusable
from lensa.photos.prepare import prepare
from lensa.photos.reading import read_picture

CPU_SECONDS = 2.0  # a file, at most
SIDES = (96, 72)


def seeds() -> dict[str, bytes]:
    """One good file of each kind that the libraries of this machine can write."""
    noise = Image.effect_noise(SIDES, 90).convert("RGB")
    frames = {"save_all": True, "append_images": [noise.rotate(90), noise.rotate(180)]}
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Phonemaker"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:00:00"
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (noise, "JPEG", {"exif": exif}),
        "jpeg-progressive": (noise, "JPEG", {"progressive": True}),
        "jpeg-cmyk": (noise.convert("CMYK"), "JPEG", {}),
        "mpo": (noise, "MPO", frames),
        "png": (noise, "PNG", {"exif": exif}),
        "png-16": (Image.new("I;16", SIDES, 0x8080), "PNG", {}),
        "png-palette": (noise.quantize(16), "PNG", {}),
        "png-alpha": (noise.convert("RGBA"), "PNG", {}),
        "apng": (noise, "PNG", frames),
        "gif": (noise.quantize(16), "GIF", {}),
        "gif-animated": (noise, "GIF", frames),
        "webp": (noise, "WEBP", {"exif": exif}),
        "webp-lossless": (noise.convert("RGBA"), "WEBP", {"lossless": True}),
        "webp-animated": (noise, "WEBP", frames),
        "tiff": (noise, "TIFF", {"exif": exif}),
        "tiff-lzw": (noise, "TIFF", {"compression": "tiff_lzw"}),
        "tiff-deflate": (noise, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff-jpeg": (noise, "TIFF", {"compression": "jpeg"}),
        "tiff-fax": (noise.convert("1"), "TIFF", {"compression": "group4"}),
        "bmp": (noise, "BMP", {}),
        "bmp-palette": (noise.quantize(16), "BMP", {}),
    }
    if "avif" in features.get_supported():
        kinds["avif"] = (noise, "AVIF", {"exif": exif})
    files = {name: _encoded(*kind) for name, kind in kinds.items()}
    try:
        import pillow_heif
    except ImportError:
        return files
    buffer = io.BytesIO()
    pillow_heif.from_pillow(noise).save(buffer, exif=exif.tobytes())
    return {**files, "heic": buffer.getvalue()}


def _encoded(image: Image.Image, format: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


Mutation = Callable[[random.Random, bytearray, list[bytes]], bytes]


def flipped(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """Some bytes changed, mostly near the head, where it hurts."""
    for _ in range(draw.choice([1, 2, 8, 40])):
        end = draw.choice([64, 256, len(data)])
        data[draw.randrange(min(end, len(data)))] = draw.randrange(256)
    return bytes(data)


def cut(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    return bytes(data[: draw.randrange(len(data))])


def gigantic(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """A size in the header made enormous, wherever it stands."""
    for number in SIDES:
        huge = draw.choice([0, 1, 16_000, 30_000, 65_535])
        for order in ("big", "little"):
            for width in (4, 2):
                old, new = number.to_bytes(width, order), huge.to_bytes(width, order)
                place = data.find(old)
                if place >= 0:
                    data[place : place + width] = new
    return bytes(data)


def repeated(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """A stretch of it many times over: tags, chunks, scans."""
    start = draw.randrange(len(data))
    part = data[start : start + draw.choice([4, 16, 200])]
    return bytes(data[:start] + part * draw.choice([3, 500]) + data[start:])


def dropped(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    start = draw.randrange(len(data))
    return bytes(data[:start] + data[start + draw.choice([1, 4, 100]) :])


def spliced(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """The head of one file and the rest of another."""
    other = draw.choice(others)
    return bytes(data[: draw.randrange(len(data))]) + other[draw.randrange(len(other)) :]


def extreme(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """A whole number of the file set to its largest or smallest."""
    width = draw.choice([2, 4])
    place = draw.randrange(min(len(data) - width, draw.choice([128, len(data)])))
    data[place : place + width] = draw.choice([b"\xff", b"\0", b"\x7f"]) * width
    return bytes(data)


def healed(draw: random.Random, data: bytearray, others: list[bytes]) -> bytes:
    """Flipped, and the checksums of a PNG made right again: past them lies the decoder."""
    broken = bytearray(flipped(draw, data, others) if data[:4] == b"\x89PNG" else data)
    place = 8
    while place + 12 <= len(broken):
        length = int.from_bytes(broken[place : place + 4], "big")
        end = place + 8 + length
        broken[end : end + 4] = zlib.crc32(broken[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(broken) if data[:4] == b"\x89PNG" else flipped(draw, data, others)


MUTATIONS: tuple[Mutation, ...] = (
    flipped,
    cut,
    gigantic,
    repeated,
    dropped,
    spliced,
    extreme,
    healed,
)


def mutants(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield (what it was, bytes): every kind and every mutation in turn."""
    draw = random.Random(seed)
    files = seeds()
    others = list(files.values())
    kinds = list(files)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        mutation = MUTATIONS[number // len(kinds) % len(MUTATIONS)]
        data = mutation(draw, bytearray(files[kind]), others)
        yield f"{number} {kind} {mutation.__name__}", data


def peak_bytes() -> int:
    """The largest resident memory of this process. Linux: ru_maxrss would count the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main(count: int) -> None:
    warnings.simplefilter("ignore")
    read, refused, longest = 0, 0, (0.0, "")
    for name, data in mutants(count):
        print(name, file=sys.stderr, flush=True)  # the last one is the culprit
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        began = time.process_time()
        try:
            picture = read_picture(lambda data=data: io.BytesIO(data), "", 16, 64)
        except Unusable as error:
            assert error.reason, name
            refused += 1
        else:
            assert picture.image.mode == "RGB", name
            assert min(picture.image.size) >= 16, name
            prepare(picture.image, 32, name, original_size=picture.size)
            read += 1
        longest = max(longest, (time.process_time() - began, name))
    signal.setitimer(signal.ITIMER_PROF, 0)
    peak = peak_bytes()
    print(json.dumps({"read": read, "refused": refused, "longest": longest, "peak_bytes": peak}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
