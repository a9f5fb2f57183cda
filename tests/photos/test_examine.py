"""One round over the photos: read once, measured, prepared, judged; the originals stay."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from photos import mutants
from photos.pngs import chunk_names
from photos.profiles import display_p3
from photos.reports import finding, photo_set, report
from photos.sets import astronaut_photos, phone_exif
from PIL import Image, ImageFile, PngImagePlugin

from lensa.errors import PhotosError
from lensa.photos import detectors
from lensa.photos import examine as examining
from lensa.photos.crop import square
from lensa.photos.detectors import Face
from lensa.photos.examine import Examined, examine
from lensa.photos.finding import Finding
from lensa.photos.measure import Measured, measure
from lensa.photos.prepare import prepare_all
from lensa.photos.reading import Picture, read_picture
from lensa.photos.sources import find_sources

SECRETS = (b"Phonemaker", b"2024:05:01", b"SECRET", b"x:xmpmeta")


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    return astronaut_photos(tmp_path / "ada", count=6)


def digests(folder: Path) -> dict[str, tuple[str, float]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_originals_are_untouched_and_nothing_is_written(astronaut: Path, tmp_path: Path) -> None:
    (astronaut / "broken.jpg").write_bytes(b"text")
    before = digests(tmp_path)
    examined = examine(astronaut, 64)
    assert [photo.name for photo in examined.photo_set.photos] == [f"{i}.jpg" for i in range(1, 7)]
    assert list(examined.report.unreadable) == ["broken.jpg"]
    assert digests(tmp_path) == before


def test_nothing_but_pixels_comes_out_of_any_format(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET")
    common = {"exif": phone_exif(), "icc_profile": display_p3()}
    options: dict[str, dict[str, object]] = {
        "a.png": {"pnginfo": text, **common},
        "b.jpg": {"comment": b"SECRET", "xmp": b"<x:xmpmeta>SECRET", **common},
        "c.webp": {"xmp": b"<x:xmpmeta>SECRET", **common},
        "d.tif": common,
        "e.avif": {"xmp": b"<x:xmpmeta>SECRET", **common},
    }
    folder = tmp_path / "ada"
    folder.mkdir()
    for number, (name, more) in enumerate(options.items()):
        Image.effect_noise((160, 120 + number), 80).convert("RGB").save(folder / name, **more)
        assert b"Phonemaker" in (folder / name).read_bytes(), "or the test proves nothing"
    photos = examine(folder, 64).photo_set
    assert len(photos.photos) == len(options)
    photos.write(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        data = path.read_bytes()
        assert set(chunk_names(data)) == {b"IHDR", b"IDAT", b"IEND"}
        assert not [word for word in SECRETS if word in data]


def test_the_time_and_the_size_of_the_original_reach_the_coach(tmp_path: Path) -> None:
    for orientation, size in ((1, (3000, 2000)), (6, (2000, 3000))):
        buffer = io.BytesIO()
        exif = phone_exif(orientation)
        exif.get_ifd(0x8769)[0x9291] = "25"
        Image.new("RGB", (3000, 2000), "teal").save(buffer, "JPEG", exif=exif)
        picture = read_picture(lambda b=buffer: io.BytesIO(b.getvalue()), ".jpg", 32, 256)
        assert picture.size == size
        assert picture.image.width < 1000
        assert picture.taken is not None
        assert picture.taken.isoformat() == "2024-05-01T12:00:00.250000"
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    assert read_picture(lambda: io.BytesIO(buffer.getvalue()), "", 32).taken is None


def test_every_photo_is_opened_once(astronaut: Path) -> None:
    opened: list[str] = []

    sources = find_sources(astronaut)
    lock = threading.Lock()

    def counted(open_it: Callable[[], object], name: str) -> Callable[[], object]:
        def open_and_count() -> object:
            with lock:
                opened.append(name)
            return open_it()

        return open_and_count

    sources = [replace(one, open=counted(one.open, one.name)) for one in sources]  # type: ignore[arg-type]
    prepared = prepare_all(sources, 64, look=_measured)
    assert sorted(opened) == [source.name for source in sources]
    assert all(one.photo is not None and one.measured is not None for one in prepared)


def _measured(name: str, picture: Picture) -> Measured:
    return measure(name, picture.image, original_size=picture.size, detector=None)


class Corner:
    """Sees a face in the lower left of every picture."""

    name = "corner"

    def faces(self, image: Image.Image) -> list[Face]:
        side = image.width / 10
        return [Face(0, image.height - side, side, side)]


def test_the_square_follows_the_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        picture = Image.effect_noise((1600, 900), 60 + number).convert("RGB")
        picture.paste("red", (0, 740, 160, 900))
        picture.save(tmp_path / f"{number}.png")
    monkeypatch.setattr(examining, "find_detector", lambda kind: Corner())
    examined = examine(tmp_path, 64)
    assert examined.report.photos[0].faces is not None
    for photo in examined.photo_set.photos:
        assert photo.box == (0, 0, 900, 900) != square(1600, 900)
        with Image.open(io.BytesIO(photo.png)) as image:
            red, green, _ = image.getpixel((4, 60))  # type: ignore[misc]
            assert red > 200 > 60 > green


def test_in_a_tiny_picture_nobody_looks_for_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, side in enumerate((199, 200, 201, 64)):
        Image.effect_noise((300, side), 60).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(examining, "find_detector", lambda kind: Corner())
    faces = [photo.faces for photo in examine(tmp_path, 64).report.photos]
    assert faces[0] is faces[3] is None
    assert faces[1] and faces[2]
    for number in (1, 2):
        (tmp_path / f"{number}.png").unlink()
    assert "too small to look for faces" in examine(tmp_path, 64, least=2).report.notes[0]


def test_progress_is_told_in_order_by_the_thread_that_asked(astronaut: Path) -> None:
    heard: list[tuple[int, int, int]] = []
    examine(astronaut, 64, on_progress=lambda *n: heard.append((*n, threading.get_ident())))
    assert heard == [(i, 6, threading.get_ident()) for i in range(1, 7)]


def test_broken_off_it_leaves_no_thread_behind(astronaut: Path) -> None:
    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        examine(astronaut, 64, on_progress=stop)
    assert not [t for t in threading.enumerate() if t.name.startswith("lensa-photos")]


def test_two_threads_at_once_still_refuse_half_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for number in range(12):
        path = tmp_path / f"{number}.jpg"
        Image.effect_noise((400, 300), 60 + number).save(path)
        if number % 2:
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    photos = examine(tmp_path, 64).photo_set
    assert [photo.name for photo in photos.photos] == [f"{i}.jpg" for i in range(0, 12, 2)]
    assert len(photos.rejected) == 6
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_photos_of_12_megapixels_stay_below_500_mb(tmp_path: Path, count: int) -> None:
    grain = Image.effect_noise((4032, 3024), 40).convert("RGB")
    grain.save(tmp_path / "0.jpg", quality=85, exif=phone_exif(6), icc_profile=display_p3())
    for number in range(1, count):  # the same pixels with another end: no copies to the reader
        os.link(tmp_path / "0.jpg", tmp_path / f"{number}.jpg")
    program = (
        "import sys; from pathlib import Path; from photos.mutants import peak_bytes\n"
        "from lensa.photos.examine import examine\n"
        "found = examine(Path(sys.argv[1]), 512, least=1)\n"
        "print(len(found.photo_set.photos), len(found.photo_set.rejected), end=' ')\n"
        "print(peak_bytes() / 1e6)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    root = Path(mutants.__file__).parent.parent
    child = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert child.returncode == 0, child.stderr
    kept, rejected, megabytes = child.stdout.split()
    assert (int(kept), int(rejected)) == (1, count - 1)
    assert float(megabytes) < 500


# -- what the coach says, before a training


def judged(*findings: Finding) -> Examined:
    return Examined(photo_set(), report(*findings, verdict="will disappoint"))


def test_what_stops_ends_it_and_is_listed() -> None:
    with pytest.raises(PhotosError) as caught:
        judged(finding("advise", "1.jpg"), finding("stop", "2.jpg")).for_training()
    message = str(caught.value)
    assert "Nothing was started" in message
    assert "2.jpg: it is blurred. take it again" in message
    assert "1.jpg" not in message


def test_advice_becomes_notes_and_the_rest_is_counted() -> None:
    findings = [finding("advise", f"{number}.jpg", code=f"{number}") for number in range(9)]
    findings += [finding("advise", "x.jpg", code="0", what="it is blurred, too")]
    first, verdict, advice, *_, last = judged(*findings).for_training().notes
    assert first == "1.jpg is 50 px and was enlarged to 64"
    assert verdict == "0 photos: will disappoint (few photos)"
    assert advice == "0.jpg, x.jpg: 0. take it again", "alike, so they share a line"
    assert last == "3 more pieces of advice: lensa check PHOTOS"
    assert judged().for_training().notes == (first, verdict)


def test_json_says_no_more_than_it_should(astronaut: Path) -> None:
    value = examine(astronaut, 64).to_json()
    text = json.dumps(value)
    assert "embedding" not in text
    assert value["size"] == 64
    assert value["upload"]["photos"] == 6
    assert value["upload"]["destination"] is None
    assert detectors.ENTRY_POINTS not in text
