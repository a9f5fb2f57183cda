"""Any file may lie in a folder of photos: it is read, or there is a reason that helps."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from photos.pngs import png
from PIL import Image, ImageFile, features
from requirements import need, need_module

from lensa.errors import PhotosError
from lensa.photos.files import Unusable, find_photos, read_photo


def noise(width: int = 80, height: int = 60) -> Image.Image:
    return Image.effect_noise((width, height), 90).convert("RGB")


def encoded(format: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or noise()).save(buffer, format, **options)
    return buffer.getvalue()


def animated(format: str) -> bytes:
    return encoded(format, save_all=True, append_images=[noise(), noise()])


def share(data: bytes, part: float) -> bytes:
    return data[: int(len(data) * part)]


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("text.jpg", b"Dear Ada, here are the photos you asked for.", "not a picture"),
    ("bm.jpg", b"BM is how this text begins, as bitmaps do.", "not a picture"),
    ("zeros.jpg", bytes(1000), "not a picture"),
    ("empty.jpg", b"", "empty .* download it again"),
    ("half.jpg", share(encoded("JPEG"), 0.5), "incomplete or damaged: copy it again"),
    ("nearly.jpg", share(encoded("JPEG"), 0.95), "incomplete"),
    ("half-progressive.jpg", share(encoded("JPEG", progressive=True), 0.5), "incomplete"),
    ("header-only.jpg", encoded("JPEG")[:100], "incomplete"),
    ("half.png", share(encoded("PNG"), 0.5), "incomplete"),
    ("half.webp", share(encoded("WEBP"), 0.5), "incomplete"),
    ("half.tif", share(encoded("TIFF"), 0.5), "incomplete"),
    ("half.bmp", share(encoded("BMP"), 0.5), "incomplete"),
    ("half.gif", share(encoded("GIF"), 0.5), "incomplete"),
    ("dot.png", encoded("PNG", noise(1, 1)), "1 x 1 px is too small: .*32 px or more"),
    ("strip.png", encoded("PNG", noise(500, 31)), "500 x 31 px is too small"),
    (
        "huge.png",
        png(20_000, 20_000, 8, b"\0"),
        "20000 x 20000 .*400 megapixels.*save it smaller",
    ),
    ("animated.gif", animated("GIF"), "animated: save the frame you want"),
    ("animated.webp", animated("WEBP"), "animated: save the frame"),
    ("animated.png", animated("PNG"), "animated: save the frame"),
    ("pages.tif", animated("TIFF"), "several pages"),
    ("float.tif", encoded("TIFF", Image.new("F", (64, 64))), "export it as 8-bit JPEG"),
    ("drawing.svg", b'<?xml version="1.0"?><svg xmlns="x">', "SVG drawing: export it as PNG"),
    ("drawing.jpg", b"<svg viewBox='0 0 1 1'/>", "SVG drawing"),
    ("scan.pdf", b"%PDF-1.7\n", "document.*export it as JPEG"),
    ("layers.psd", b"8BPS\0\1", "document"),
    ("canon.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "raw file: export it as JPEG"),
    ("canon.cr3", b"\0\0\0\x18ftypcrx " + bytes(99), "raw file"),
    ("nikon.NEF", encoded("TIFF"), "raw file"),
    ("pro.dng", encoded("TIFF"), "raw file"),
    ("fuji.raf", b"FUJIFILMCCD-RAW 0201", "raw file"),
    ("live.mov", b"\0\0\0\x14ftypqt  " + bytes(99), "video: save a few good frames"),
    ("clip.jpg", b"\0\0\0\x18ftypmp42" + bytes(99), "video"),
    ("old.mov", b"\0\0\0\x08wide" + bytes(99), "video"),
    ("broken.heic", b"\0\0\0\x18ftypheic" + bytes(99), "incomplete|HEIC needs"),
]


@pytest.mark.parametrize(
    ("name", "data", "reason"), BAD_FILES, ids=[name for name, *_ in BAD_FILES]
)
def test_a_file_that_is_no_photo(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(Unusable, match=reason):
        read_photo(path, min_side=32)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("gone.jpg")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (fifo, "pipe, socket or device"),
        (listening_socket, "pipe, socket or device"),
        (endless_device, "pipe, socket or device"),
        (link_to_nothing, "link to a file that is not there"),
        (link_to_itself, "link to a file that is not there"),
        (Path.mkdir, "a folder"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_is_not_even_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    make(Path("photo.jpg"))
    with pytest.raises(Unusable, match=reason):
        read_photo(Path("photo.jpg"), min_side=32)


def test_a_photo_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded("JPEG"))
    path.chmod(0)
    program = (
        "import sys, pathlib; from lensa.photos.files import read_photo, Unusable\n"
        "try: read_photo(pathlib.Path(sys.argv[1]), 32)\n"
        "except Unusable as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(path)]
    if os.geteuid() == 0:
        need("setpriv", shutil.which("setpriv") is not None, "root reads everything without it")
        powers = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}", *command]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "no permission" in answer.stdout


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "MPO"])
def test_formats_that_are_read(tmp_path: Path, format: str) -> None:
    path = tmp_path / "photo.whatever"
    path.write_bytes(encoded(format))
    assert read_photo(path, min_side=32).size == (80, 60)


def test_avif_is_read(tmp_path: Path) -> None:
    need("avif", "avif" in features.get_supported(), "pip install 'pillow>=11.3'")
    (tmp_path / "photo.avif").write_bytes(encoded("AVIF"))
    assert read_photo(tmp_path / "photo.avif", min_side=32).size == (80, 60)


def heic(image: Image.Image, **options: object) -> bytes:
    need_module("heic", "pillow_heif", "pillow-heif")
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **options)
    return buffer.getvalue()


def test_heic_is_read_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (80, 60), "red")
    image.paste("blue", (0, 0, 40, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # the left half has to come out on top
    (tmp_path / "photo.heic").write_bytes(heic(image, exif=exif.tobytes()))
    photo = read_photo(tmp_path / "photo.heic", min_side=32)
    assert photo.size == (60, 80)
    assert photo.getpixel((30, 10))[2] > 200
    assert photo.getpixel((30, 70))[0] > 200


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Unusable, match=r"pip install 'lensa\[photos\]'"):
        read_photo(tmp_path / "photo.heic", min_side=32)


def test_half_grey_pictures_stay_out_even_where_pillow_was_told_to_take_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (tmp_path / "half.jpg").write_bytes(share(encoded("JPEG"), 0.5))
    with pytest.raises(Unusable, match="incomplete"):
        read_photo(tmp_path / "half.jpg", min_side=32)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(("format", "name"), [("PNG", "big.png"), ("TIFF", "big.tif")])
def test_200_megapixels_are_read_without_a_warning(tmp_path: Path, format: str, name: str) -> None:
    Image.new("1", (14_200, 14_200), 1).save(tmp_path / name, **_fax(format))
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = read_photo(tmp_path / name, min_side=256, enough=1024)
    assert 1024 <= min(photo.size) < 2048
    assert before == Image.MAX_IMAGE_PIXELS


def _fax(format: str) -> dict[str, str]:
    return {"format": format, **({"compression": "group4"} if format == "TIFF" else {})}


def test_a_picture_may_come_back_smaller_but_not_smaller_than_enough(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (3000, 2000), "teal").save(tmp_path / name)
        photo = read_photo(tmp_path / name, min_side=32, enough=128)
        assert 128 <= min(photo.size) < 256
        assert read_photo(tmp_path / name, min_side=32).size == (3000, 2000)


def test_photos_are_found_in_the_order_people_count(tmp_path: Path) -> None:
    for name in ["ada10.jpg", "Ada9.JPG", "ada2.png", "b.heic", "notes.md"]:
        (tmp_path / name).touch()
    for name in [".DS_Store", "._ada2.png", "Thumbs.db", "ada2.txt", "meta.json", "ada2.AAE"]:
        (tmp_path / name).touch()
    (tmp_path / "originals").mkdir()
    (tmp_path / "folder.jpg").mkdir()
    names = [path.name for path in find_photos(tmp_path)]
    assert names == ["ada2.png", "Ada9.JPG", "ada10.jpg", "b.heic", "folder.jpg", "notes.md"]


def test_a_source_without_photos(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="No such folder"):
        find_photos(tmp_path / "nowhere")
    with pytest.raises(PhotosError, match="No photos in"):
        find_photos(tmp_path)
    (tmp_path / "ada").mkdir()
    with pytest.raises(PhotosError, match=r"Is it a folder in it \(ada\)"):
        find_photos(tmp_path)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(PhotosError, match="is a file"):
        find_photos(tmp_path / "photo.jpg")


SEEDS = [encoded(format) for format in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")]
SEEDS += [animated("GIF"), animated("PNG")]

random_bytes = st.builds(
    lambda start, rest: start + rest,
    st.sampled_from([b"", *(seed[:16] for seed in SEEDS)]),
    st.binary(),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real picture, some of its bytes changed, perhaps cut short."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    end = draw(st.sampled_from([64, 256, len(data)]))  # mostly headers: that is where it hurts
    for place, value in draw(st.lists(st.tuples(st.integers(0, end - 1), st.integers(0, 255)))):
        data[place] = value
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.one_of(random_bytes, damaged()))
def test_whatever_the_bytes_it_is_a_picture_or_unusable(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            photo = read_photo(path, min_side=32, enough=64)
        except Unusable as error:
            assert error.reason
        else:
            assert photo.mode == "RGB"
            assert min(photo.size) >= 32
