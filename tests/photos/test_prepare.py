"""Photos become square, upright sRGB pictures that say nothing about where they were taken."""

from __future__ import annotations

import errno
import hashlib
import io
import struct
from pathlib import Path

import pytest
from photos.pngs import chunk_names, png
from photos.profiles import display_p3
from photos.sets import astronaut_photos, chelsea_photos, phone_exif
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from lensa.errors import PhotosError, StorageError
from lensa.photos.crop import square
from lensa.photos.files import read_photo
from lensa.photos.photoset import PhotoSet
from lensa.photos.prepare import load_photos, prepare

SKIN = (224, 172, 140)


@pytest.fixture
def astronaut(tmp_path: Path) -> Path:
    return astronaut_photos(tmp_path / "astronaut", count=6)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def colours(image: Image.Image) -> tuple[int, ...]:
    """The colour in the middle."""
    colour = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(colour, tuple)
    return colour


def close(left: tuple[int, ...], right: tuple[int, ...], by: int = 2) -> bool:
    return all(abs(a - b) <= by for a, b in zip(left, right, strict=True))


# -- what comes out


def test_a_folder_of_photos(astronaut: Path) -> None:
    before = {path.name: path.read_bytes() for path in astronaut.iterdir()}
    photos = load_photos(astronaut, size=64)
    assert [photo.name for photo in photos.photos] == [f"{i}.jpg" for i in range(1, 7)]
    assert photos.rejected == {}
    assert photos.notes == ()
    for photo in photos.photos:
        image = opened(photo.png)
        assert (image.size, image.mode, image.format) == ((64, 64), "RGB", "PNG")
        assert photo.sha256 == hashlib.sha256(photo.png).hexdigest()
    assert {path.name: path.read_bytes() for path in astronaut.iterdir()} == before


def test_same_input_same_digests(astronaut: Path, tmp_path: Path) -> None:
    cat = chelsea_photos(tmp_path / "chelsea")
    assert load_photos(astronaut, 64).digests == load_photos(astronaut, 64).digests
    assert not {*load_photos(astronaut, 64).digests} & {*load_photos(cat, 64).digests}


def test_nothing_but_pixels_remains(tmp_path: Path) -> None:
    image = Image.effect_noise((100, 100), 80).convert("RGB")
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>SECRET</x:xmpmeta>")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": phone_exif(), "icc_profile": profile, "dpi": (300, 300)}
    image.save(tmp_path / "a.png", pnginfo=text, **options)
    image.save(tmp_path / "b.jpg", comment=b"SECRET", xmp=b"<x:xmpmeta>SECRET", **options)
    image.save(
        tmp_path / "c.webp", xmp=b"<x:xmpmeta>SECRET", exif=phone_exif(), icc_profile=profile
    )
    for path in tmp_path.iterdir():
        assert b"Phonemaker" in path.read_bytes(), "or the test proves nothing"
        photo = read_photo(path, min_side=32)
        assert photo.info == {}
        assert not photo.getexif()
        png = prepare(photo, 64, path.name).png
        assert set(chunk_names(png)) == {b"IHDR", b"IDAT", b"IEND"}
        for word in (b"Phonemaker", b"2024:05:01", b"SECRET", b"Exif", b"GPS", b"xmp", b"sRGB"):
            assert word not in png


def test_a_small_photo_is_enlarged_and_said_to_be(astronaut: Path) -> None:
    path = astronaut / "ada3.png"
    Image.open(astronaut / "1.jpg").resize((400, 300)).save(path)
    photos = load_photos(astronaut, size=512)
    assert photos.notes == ("ada3.png is 300 px and was enlarged to 512",)


# -- upright


def test_every_exif_orientation_comes_out_upright(tmp_path: Path) -> None:
    upright = Image.new("RGB", (60, 80), "red")
    upright.paste("lime", (0, 0, 30, 40))
    upright.paste("blue", (30, 0, 60, 40))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for suffix in ("jpg", "png", "tif", "webp"):
            path = tmp_path / f"{orientation}.{suffix}"
            _as_a_camera_held_so(upright, orientation).save(path, exif=exif, quality=95)
            image = read_photo(path, min_side=32)
            assert image.size == upright.size, path.name
            for place in ((10, 10), (50, 10), (10, 70), (50, 70)):
                there, here = image.getpixel(place), upright.getpixel(place)
                assert close(there, here, by=12), (path.name, place, there, here)


def _as_a_camera_held_so(upright: Image.Image, orientation: int) -> Image.Image:
    """Store the picture so that Pillow's own exif_transpose would put it upright."""
    for turn in [None, *Image.Transpose]:
        stored = upright if turn is None else upright.transpose(turn)
        stored.getexif()[0x0112] = orientation
        if ImageOps.exif_transpose(stored).tobytes() == upright.tobytes():
            return stored.copy()
    raise AssertionError(orientation)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_photo(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), SKIN)
    image.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(5))
    assert read_photo(tmp_path / "a.jpg", min_side=32).size == (64, 64)


# -- colours


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_a_colour_profile_is_converted(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (64, 64), SKIN)
    image.save(tmp_path / f"p3.{suffix}", icc_profile=display_p3(), quality=95)
    red, green, blue = colours(read_photo(tmp_path / f"p3.{suffix}", min_side=32))
    # By hand: linear P3 * (P3 -> XYZ) * (XYZ -> sRGB). The same skin takes more red in sRGB.
    assert close((red, green, blue), (234, 171, 136), by=3)


def test_srgb_stays_as_it_is(tmp_path: Path) -> None:
    image = Image.effect_noise((64, 64), 80).convert("RGB")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "a.png", icc_profile=srgb)
    assert read_photo(tmp_path / "a.png", min_side=32).tobytes() == image.tobytes()


@pytest.mark.parametrize("profile", [b"not a profile", display_p3()[:200]])
def test_a_broken_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    Image.new("RGB", (64, 64), SKIN).save(tmp_path / "a.png", icc_profile=profile)
    assert colours(read_photo(tmp_path / "a.png", min_side=32)) == SKIN


def test_grey_with_the_profile_of_a_camera(tmp_path: Path) -> None:
    Image.new("L", (64, 64), 128).save(tmp_path / "a.jpg", icc_profile=display_p3())
    assert close(colours(read_photo(tmp_path / "a.jpg", min_side=32)), (128, 128, 128))


WHITE = (255, 255, 255)
MODES = {
    "16-bit-grey.png": (Image.new("I;16", (64, 64), 0x8080), (128, 128, 128)),
    "16-bit-grey.tif": (Image.new("I;16", (64, 64), 0xFFFF), WHITE),
    "16-bit-big-endian.tif": (Image.new("I;16B", (64, 64), 0x4040), (64, 64, 64)),
    "black-and-white.png": (Image.new("1", (64, 64), 1), WHITE),
    "grey.jpg": (Image.new("L", (64, 64), 90), (90, 90, 90)),
    "grey-alpha.png": (Image.new("LA", (64, 64), (0, 0)), WHITE),
    "transparent.png": (Image.new("RGBA", (64, 64), (255, 0, 0, 0)), WHITE),
    "half-transparent.png": (Image.new("RGBA", (64, 64), (0, 0, 0, 128)), (127, 127, 127)),
    "half-transparent.webp": (Image.new("RGBA", (64, 64), (0, 0, 0, 128)), (127, 127, 127)),
    "cmyk.jpg": (Image.new("CMYK", (64, 64), (0, 255, 255, 0)), (254, 0, 0)),
    "cmyk.tif": (Image.new("CMYK", (64, 64), (255, 0, 255, 0)), (0, 255, 0)),
    "palette.png": (Image.new("RGB", (64, 64), SKIN).quantize(8), SKIN),
    "palette.gif": (Image.new("RGB", (64, 64), SKIN).quantize(8), SKIN),
    "palette-alpha.png": (Image.new("RGBA", (64, 64), (9, 9, 9, 0)).quantize(8), WHITE),
}


@pytest.mark.parametrize("name", MODES)
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, name: str) -> None:
    image, expected = MODES[name]
    image.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    photo = read_photo(tmp_path / name, min_side=32)
    assert photo.mode == "RGB"
    assert close(colours(photo), expected)


def test_16_bit_colour_is_read(tmp_path: Path) -> None:
    rows = (b"\0" + struct.pack(">3H", 0x1234, 0x8000, 0xFEDC) * 64) * 64
    (tmp_path / "a.png").write_bytes(png(64, 64, 16, rows))
    assert colours(read_photo(tmp_path / "a.png", min_side=32)) == (0x12, 0x80, 0xFE)


# -- the square


def test_the_square_that_is_kept() -> None:
    assert square(100, 100) == (0, 0, 100, 100)
    assert square(200, 100) == (50, 0, 150, 100)  # landscape: the middle
    assert square(100, 200) == (0, 25, 100, 125)  # portrait: above the middle


def test_the_head_of_a_standing_person_stays_in(tmp_path: Path) -> None:
    standing = Image.new("RGB", (300, 500), "white")
    standing.paste("red", (120, 60, 180, 140))  # the head
    photo = opened(prepare(standing, 64, "a").png)
    reds = [place for place in range(64) if close(photo.getpixel((32, place)), (255, 0, 0), by=40)]
    assert 0 < min(reds) < max(reds) < 32


# -- too few, too many, twice


def test_the_same_picture_twice_counts_once(astronaut: Path) -> None:
    (astronaut / "copy.jpg").write_bytes((astronaut / "2.jpg").read_bytes())
    picture = Image.open(astronaut / "2.jpg")
    picture.save(astronaut / "edited.png")
    picture.save(astronaut / "edited.tif")
    photos = load_photos(astronaut, size=64)
    assert len(photos.photos) == 7  # what was decoded and saved anew is not exactly the same
    assert photos.rejected["copy.jpg"].startswith("same picture as 2.jpg")
    assert photos.rejected["edited.tif"].startswith("same picture as edited.png")


def test_fewer_than_four_names_every_file_and_its_reason(astronaut: Path) -> None:
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (astronaut / name).write_bytes(b"text")
    (astronaut / "5.jpg").write_bytes((astronaut / "4.jpg").read_bytes())
    Image.new("RGB", (1, 1)).save(astronaut / "dot.png")
    with pytest.raises(PhotosError) as caught:
        load_photos(astronaut, size=64)
    message = str(caught.value)
    assert "2 usable photos, 4 are needed. Add 2 more." in message
    assert set(caught.value.rejected) == {"1.jpg", "2.jpg", "3.jpg", "5.jpg", "dot.png"}
    for name, reason in caught.value.rejected.items():
        assert f"{name}: {reason}" in message
    assert len(load_photos(astronaut, size=64, least=2).photos) == 2


def test_a_folder_of_holidays_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for number in range(201):
        (tmp_path / f"{number}.jpg").touch()
    with pytest.raises(PhotosError, match="201 files, and 200 are the most"):
        load_photos(tmp_path, size=64)


def test_names_that_a_terminal_would_obey_are_made_harmless(astronaut: Path) -> None:
    (astronaut / "\x1b[2Jx.jpg").write_bytes(b"text")
    (astronaut / "caf\udce9.jpg").write_bytes(b"text")
    assert set(load_photos(astronaut, 64).rejected) == {"?[2Jx.jpg", "caf?.jpg"}


# -- on disk


def test_written_photos_are_named_by_their_digest(astronaut: Path, tmp_path: Path) -> None:
    photos = load_photos(astronaut, size=64)
    for _ in range(2):  # writing again changes nothing
        photos.write(tmp_path / "new" / "out")
        files = {path.name: path.read_bytes() for path in (tmp_path / "new" / "out").iterdir()}
        assert files == {f"{photo.sha256}.png": photo.png for photo in photos.photos}


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full.*Free some space"), (errno.EROFS, "cannot be written")],
)
def test_a_full_disk_leaves_nothing_behind(
    astronaut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    photos = load_photos(astronaut, size=64)
    out = tmp_path / "out"
    PhotoSet(64, photos.photos[:1], {}, ()).write(out)
    moved: list[Path] = []

    def replace(self: Path, target: Path) -> Path:
        if len(moved) == 3:
            raise OSError(number, "no")
        moved.append(target)
        return self.rename(target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(StorageError, match=words):
        photos.write(out)
    assert [path.name for path in out.iterdir()] == [f"{photos.photos[0].sha256}.png"]


def test_a_folder_that_is_a_file(astronaut: Path, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        load_photos(astronaut, size=64).write(tmp_path / "out")
