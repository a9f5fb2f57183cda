"""Damaged and hostile files: none crashes the reader, hangs it, or eats the memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from photos import mutants
from photos.pngs import png
from photos.sets import astronaut_photos
from PIL import Image

from lensa.photos.examine import examine
from lensa.photos.formats import Unusable
from lensa.photos.prepare import load_photos
from lensa.photos.reading import read_picture

GIGABYTE = 1_000_000_000
COUNT = 1000


def test_a_thousand_mutants_neither_crash_nor_hang_nor_fill_the_memory() -> None:
    # A crash ends the process by a signal, and so does a file that takes over 2 s of CPU time.
    root = Path(mutants.__file__).parent.parent
    child = subprocess.run(
        [sys.executable, "-m", "photos.mutants", str(COUNT)],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=root,
    )
    assert child.returncode == 0, child.stderr[-500:]
    result = json.loads(child.stdout)
    assert result["read"] + result["refused"] == COUNT
    assert result["read"] > COUNT // 10, "or only the first lines of the decoders were tried"
    assert result["refused"] > COUNT // 10
    assert result["peak_bytes"] < GIGABYTE


def test_the_good_ones_among_them_come_out_all_the_same(tmp_path: Path) -> None:
    good = astronaut_photos(tmp_path / "good", count=4)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number, (_, data) in enumerate(mutants.mutants(150, seed=7)):
        (mixed / f"bad-{number}.jpg").write_bytes(data)
    for path in good.iterdir():
        (mixed / path.name).write_bytes(path.read_bytes())
    alone = examine(good, 64, kind="object").photo_set
    among = examine(mixed, 64, kind="object").photo_set
    assert set(alone.digests) <= set(among.digests)
    assert len(among.rejected) > 50


def refused(data: bytes) -> str:
    with pytest.raises(Unusable) as caught:
        read_picture(lambda: io.BytesIO(data), "", min_side=32, enough=128)
    return caught.value.reason


def progressive(side: int, passes: int) -> bytes:
    """A progressive JPEG that goes over its picture again and again, to no effect."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[last:end] * passes + data[end:]


def test_a_jpeg_of_a_thousand_passes_is_not_begun() -> None:
    assert "too many passes" in refused(progressive(2000, passes=1000))
    fine = read_picture(lambda: io.BytesIO(progressive(2000, 10)), "", min_side=32, enough=128)
    assert fine.size == (2000, 2000)


def test_what_would_not_fit_into_memory_is_not_begun() -> None:
    assert "MB to decode" in refused(png(12_000, 12_000, 8, b"\0"))
    assert "MB to decode" in refused(png(400_000, 100, 8, b"\0")), "narrow: it stays as it is"
    assert "incomplete" in refused(png(10_000, 10_000, 8, b"\0")), "this one is, and is not whole"


def test_a_file_of_many_megabytes_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "video.jpg"
    with path.open("wb") as file:
        file.truncate(300_000_000)  # takes no room on the disk
    with pytest.raises(Exception, match="300 MB, more than 200") as caught:
        load_photos(path, 64, least=1)
    assert "video.jpg" in str(caught.value)
