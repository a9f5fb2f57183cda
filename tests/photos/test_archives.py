"""Photos in a zip: read one by one in memory, whatever the zip is made of."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from photos.sets import astronaut_photos
from PIL import Image

from lensa.errors import PhotosError
from lensa.photos.examine import examine
from lensa.photos.prepare import load_photos
from lensa.photos.sources import find_sources


@pytest.fixture
def four(tmp_path: Path) -> dict[str, bytes]:
    """Names and contents of four good photos."""
    folder = astronaut_photos(tmp_path / "originals", count=4)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def packed(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_is_as_good_as_its_folder(tmp_path: Path, four: dict[str, bytes]) -> None:
    archive = packed(tmp_path / "ada.zip", four, zipfile.ZIP_DEFLATED)
    assert load_photos(archive, 64).digests == load_photos(tmp_path / "originals", 64).digests
    before = archive.read_bytes()
    assert len(examine(archive, 64).photo_set.photos) == 4
    assert archive.read_bytes() == before


def test_folders_in_it_are_entered_and_clutter_is_passed_over(
    tmp_path: Path, four: dict[str, bytes]
) -> None:
    files = {f"Ada/day {name[0]}/{name}": data for name, data in four.items()}
    clutter = {f"__MACOSX/Ada/._{name}": b"\0\5\x16\7" for name in four}
    clutter |= {"Ada/Thumbs.db": b"x", "Ada/.hidden/1.jpg": b"x", "Ada/notes.txt": b"x"}
    photos = load_photos(packed(tmp_path / "ada.zip", {**files, **clutter}), 64)
    assert [photo.name for photo in photos.photos] == sorted(files)
    assert photos.rejected == {}


def test_hostile_entries_are_refused_one_by_one(tmp_path: Path, four: dict[str, bytes]) -> None:
    bomb = io.BytesIO()
    Image.new("L", (14_000, 14_000)).save(bomb, "BMP")  # 196 MB of nothing
    outside = tmp_path / "outside.jpg"
    inner = packed(tmp_path / "inner.zip", four).read_bytes()
    files = {
        **four,
        "../outside.jpg": four["1.jpg"],
        "/etc/outside.jpg": four["1.jpg"],
        "C:\\outside.jpg": four["1.jpg"],
        "bomb.bmp": bomb.getvalue(),
        "inner.zip": inner,
        "inner.jpg": inner,
        "\x1b[2Jtext.jpg": b"text",
        "9" * 6000 + ".jpg": b"a number that Python does not read",
    }
    archive = packed(tmp_path / "ada.zip", files, zipfile.ZIP_DEFLATED)
    photos = load_photos(archive, 64)
    assert [photo.name for photo in photos.photos] == sorted(four)
    reasons = photos.rejected
    assert "leads out of the zip" in reasons["../outside.jpg"]
    assert "leads out of the zip" in reasons["/etc/outside.jpg"]
    assert "leads out of the zip" in reasons["C:\\outside.jpg"]
    assert "times its size" in reasons["bomb.bmp"]
    assert "an archive" in reasons["inner.zip"]
    assert "an archive" in reasons["inner.jpg"]
    assert "not a picture" in reasons["?[2Jtext.jpg"]
    assert not outside.exists()


def test_encrypted_and_damaged_entries_are_refused(tmp_path: Path, four: dict[str, bytes]) -> None:
    archive = packed(
        tmp_path / "ada.zip", {**four, "locked.jpg": four["1.jpg"], "x.jpg": b"y" * 99}
    )
    data = bytearray(archive.read_bytes())
    directory = data.rfind(b"PK\1\2", 0, data.rfind(b"locked.jpg"))
    data[directory + 8] |= 1  # the flag in the table of contents says: encrypted
    unusual = data.rfind(b"PK\1\2", 0, data.rfind(b"x.jpg"))
    data[unusual + 10 : unusual + 12] = struct.pack("<H", 98)  # PPMd
    archive.write_bytes(data)
    rejected = load_photos(archive, 64).rejected
    assert "encrypted: unpack the zip" in rejected["locked.jpg"]
    assert "packed in an unusual way" in rejected["x.jpg"]


def test_an_entry_that_lies_about_its_size_is_damaged(
    tmp_path: Path, four: dict[str, bytes]
) -> None:
    archive = packed(tmp_path / "a.zip", {**four, "x.jpg": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    data = bytearray(archive.read_bytes())
    directory = data.rfind(b"PK\1\2", 0, data.rfind(b"x.jpg"))
    data[directory + 24 : directory + 28] = struct.pack("<I", 1000)
    archive.write_bytes(data)
    assert "damaged" in load_photos(archive, 64).rejected["x.jpg"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no whole zip"),
        (b"PK\3\4 and then text", "no whole zip"),
        (b"PK\5\6" + bytes(18), "No photos in"),
        (b"PK\5\6" + bytes(8) + b"\xff" * 4 + bytes(6), "too many files"),
    ],
    ids=["empty", "text", "nothing in it", "an endless table of contents"],
)
def test_a_zip_that_is_none(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "ada.zip").write_bytes(data)
    with pytest.raises(PhotosError, match=words):
        find_sources(tmp_path / "ada.zip")


def test_any_damage_to_a_zip_is_an_error_or_a_refusal(
    tmp_path: Path, four: dict[str, bytes]
) -> None:
    import random

    whole = packed(tmp_path / "ada.zip", four, zipfile.ZIP_DEFLATED).read_bytes()
    start = whole.find(b"PK\1\2")  # its table of contents is what steers the reader
    draw = random.Random(0)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(draw.choice([1, 3])):
            data[draw.randrange(start, len(data))] = draw.randrange(256)
        (tmp_path / "ada.zip").write_bytes(data)
        try:
            for source in find_sources(tmp_path / "ada.zip"):
                assert source.name.isprintable()
        except PhotosError as error:
            assert "ada.zip" in str(error)


def test_a_zip_of_too_many_photos_is_refused_before_any_is_read(tmp_path: Path) -> None:
    archive = packed(tmp_path / "ada.zip", {f"{number}.jpg": b"x" for number in range(201)})
    with pytest.raises(PhotosError, match="holds 201 files, and 200 are the most"):
        load_photos(archive, 64)
