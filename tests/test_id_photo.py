"""ID photos: the head as large and as high as a country wants it, on one plain colour, to print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageColor
from requirements import need_module
from skimage import data

from lensa.errors import ConfigError, NotFoundError, PhotosError, StorageError
from lensa.id_photo import PAPERS, IdPhoto, Specification, id_photo, specification, specifications
from lensa.id_photo.framing import HEAD, frame, from_brow_to_chin
from lensa.photos.detectors import Face, find_detector
from lensa.photos.detectors.haar import HaarDetector

# Measured by hand in the astronaut picture (512 x 512 pixels): where hair and chin end.
CROWN, CHIN = 16, 177
DOCS = Path(__file__).parent.parent / "docs" / "styles.md"


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    need_module("dlib", "dlib", "'lensa[faces]'")
    need_module("opencv", "cv2", "'lensa[photos]'")
    return Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def face(astronaut: Image.Image) -> Face:
    detector = find_detector("person")
    assert detector is not None
    (found,) = detector.faces(astronaut)
    return found


@pytest.fixture(scope="module")
def german(astronaut: Image.Image) -> IdPhoto:
    return id_photo(astronaut, "de")


# -- specifications


def test_the_countries_that_are_known() -> None:
    known = {"us", "gb", "de", "fr", "schengen", "in", "cn", "jp", "ca", "au", "br"}
    assert known <= specifications().keys()


@pytest.mark.parametrize("country", specifications())
def test_every_specification_can_be_met(country: str) -> None:
    wanted = specification(country)
    assert wanted.rule
    assert wanted.width <= wanted.height
    # The head, with the room that it must have above, is in the picture at every allowed size.
    for head in wanted.head:
        assert (wanted.top or (0, 0))[1] + head < wanted.height


@pytest.mark.parametrize("country", specifications())
def test_the_table_in_the_docs_says_the_same(country: str) -> None:
    one = specification(country)
    size, head = f"{one.width:g} x {one.height:g}", f"{one.head[0]:g} to {one.head[1]:g}"
    row = f"| `{country}` {one.label} | {size} | {head} |"
    assert row in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", ["de", "DE", " Germany "])
def test_a_country_is_found_however_it_is_written(words: str) -> None:
    assert specification(words).country == "de"
    assert specification("uk").country == "gb"
    assert specification("USA").country == "us"


def test_an_unknown_country_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"no ID photo specification for 'qq'\. Known: au, br"):
        specification("qq")


def test_a_specification_that_contradicts_itself_is_refused() -> None:
    fields = {"country": "x", "label": "X", "rule": "r", "width": 35, "height": 45}
    with pytest.raises(ConfigError, match=r"head is \(least, most\)"):
        Specification(**fields, head=(36, 32), background="#ffffff")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="background = 'white'"):
        Specification(**fields, head=(32, 36), background="white")  # type: ignore[arg-type]


# -- where the picture is cut


@pytest.mark.parametrize("country", specifications())
def test_the_head_has_an_allowed_height(face: Face, country: str) -> None:
    wanted = specification(country)
    cut = frame(face, wanted)
    millimetre = cut.height / wanted.height
    assert cut.width / millimetre == pytest.approx(wanted.width)
    least, most = wanted.head
    assert least <= (CHIN - CROWN) / millimetre <= most  # by hand
    assert cut.head_mm == pytest.approx((least + most) / 2)  # by the estimate
    assert cut.left + cut.width / 2 == pytest.approx(face.left + face.width / 2)


@pytest.mark.parametrize("country", ["cn", "jp", "us"])
def test_the_head_is_as_high_in_the_picture_as_the_rule_says(country: str) -> None:
    wanted = specification(country)
    face = Face(left=400, top=400, width=200, height=200)
    cut = frame(face, wanted)
    millimetre = cut.height / wanted.height
    crown = 600 - HEAD * 200
    if wanted.top is not None:
        assert wanted.top[0] < (crown - cut.top) / millimetre < wanted.top[1]
    if wanted.eyes is not None:
        eyes = (crown + 600) / 2  # halfway between crown and chin
        assert wanted.eyes[0] < (cut.top + cut.height - eyes) / millimetre < wanted.eyes[1]


# -- the picture


def test_the_picture_has_exactly_the_size_of_its_specification(
    astronaut: Image.Image, german: IdPhoto
) -> None:
    assert german.image.size == (413, 531)  # 35 x 45 mm at 300 dpi
    assert id_photo(astronaut, "us").image.size == (600, 600)  # 2 x 2 inches
    assert id_photo(astronaut, "de", dpi=600).image.size == (827, 1063)


def test_the_face_is_in_the_middle_and_the_head_as_high_as_it_should_be(german: IdPhoto) -> None:
    detector = find_detector("person")
    assert detector is not None
    (found,) = detector.faces(german.image)
    millimetre = german.image.height / german.specification.height
    assert abs(found.left + found.width / 2 - german.image.width / 2) < 1.5 * millimetre
    least, most = german.specification.head
    assert least - 1 <= HEAD * found.height / millimetre <= most + 1  # the detector looks again


@pytest.mark.parametrize("country", ["de", "fr", "us"])
def test_the_background_has_the_country_s_colour(astronaut: Image.Image, country: str) -> None:
    made = id_photo(astronaut, country)
    assert made.plain
    colour = ImageColor.getrgb(made.specification.background)
    corners = [(0, 0), (made.image.width - 1, 0), (made.image.width // 2, 1)]
    assert [made.image.getpixel(corner) for corner in corners] == [colour] * 3
    # The person is still there, and is the one that was there before.
    assert made.image.getpixel((made.image.width // 2, made.image.height // 2)) != colour


def test_what_a_picture_is_too_small_for_is_said(astronaut: Image.Image) -> None:
    assert any("enlarged 2.6 times" in note for note in id_photo(astronaut, "de").notes)
    large = astronaut.resize((1536, 1536), Image.Resampling.BICUBIC)
    assert id_photo(large, "de").notes == ()


def test_what_is_missing_below_is_said_and_above_the_background_goes_on(
    astronaut: Image.Image,
) -> None:
    large = astronaut.resize((1536, 1536), Image.Resampling.BICUBIC)
    notes = id_photo(large.crop((0, 0, 1536, 560)), "de").notes
    assert len(notes) == 1
    assert "mm below were filled" in notes[0]
    assert id_photo(large, "ca").notes == ()  # 9 mm above the picture's own edge


def test_a_picture_without_a_face_or_with_two_is_refused(astronaut: Image.Image) -> None:
    with pytest.raises(PhotosError, match="No face is found in the picture: take one"):
        id_photo(Image.new("RGB", (300, 300), "grey"), "de")
    two = Image.new("RGB", (1024, 512))
    for left in (0, 512):
        two.paste(astronaut, (left, 0))
    with pytest.raises(PhotosError, match="2 faces in the picture: crop it to the person"):
        id_photo(two, "de")


def test_a_small_face_far_behind_does_no_harm(astronaut: Image.Image) -> None:
    head = astronaut.crop((96, 0, 352, 256))
    scene = Image.new("RGB", (1200, 900), "#90a0b0")
    scene.paste(head.resize((900, 900)), (0, 0))
    scene.paste(head.resize((260, 260)), (920, 100))
    detector = find_detector("person")
    assert detector is not None
    assert len(detector.faces(scene)) == 2
    assert id_photo(scene, "de").image.size == (413, 531)


@pytest.mark.parametrize("dpi", [0, -300, 10_000])
def test_a_dpi_out_of_range_is_refused(astronaut: Image.Image, dpi: int) -> None:
    with pytest.raises(ConfigError, match=f"dpi = {dpi}: take one from 72 to 1200"):
        id_photo(astronaut, "de", dpi=dpi)


def test_any_mode_of_picture_will_do(astronaut: Image.Image) -> None:
    for mode in ("L", "RGBA", "P"):
        assert id_photo(astronaut.convert(mode), "de").image.mode == "RGB"
    with pytest.raises(PhotosError, match="cannot be used: "):
        id_photo(astronaut.convert("F"), "de")


# -- with less installed


def test_without_the_better_detector_the_head_is_about_right_and_that_is_said(
    astronaut: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)  # as if it were not installed
    photo = id_photo(astronaut, "de")
    assert "the face was measured by haar, which is rough" in photo.notes[0]
    detector = HaarDetector()
    box = from_brow_to_chin(detector.faces(astronaut)[0], detector.name)
    assert HEAD * box.height == pytest.approx(CHIN - CROWN, rel=0.15)
    assert box.top + box.height == pytest.approx(CHIN, abs=0.1 * (CHIN - CROWN))


def test_without_a_masker_the_background_stays_and_that_is_said(
    astronaut: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    photo = id_photo(astronaut, "de")
    assert not photo.plain
    assert photo.image.size == (413, 531)
    assert photo.image.getpixel((0, 0)) != ImageColor.getrgb(photo.specification.background)
    assert any("the background is as it was" in note for note in photo.notes)
    # A strip that is not in the picture is told, where the background does not simply go on.
    assert any("mm above were filled" in note for note in id_photo(astronaut, "ca").notes)


def test_without_any_detector_it_says_what_to_install(
    astronaut: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cv2", "dlib"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"needs a face detector: pip install 'lensa\[faces\]'"):
        id_photo(astronaut, "de")


# -- files and sheets


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_the_file_says_how_large_it_is_on_paper(
    german: IdPhoto, tmp_path: Path, suffix: str
) -> None:
    with Image.open(german.save(tmp_path / f"id.{suffix}")) as saved:
        assert [round(float(value)) for value in saved.info["dpi"]] == [300, 300]
        assert saved.size == german.image.size


def test_a_file_of_another_kind_or_place_is_refused(german: IdPhoto, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"id\.gif: name it \.png, \.jpg or \.tif"):
        german.save(tmp_path / "id.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        german.save(tmp_path / "file" / "id.png")


@pytest.mark.parametrize(
    ("country", "paper", "copies"),
    [("de", "10x15", 8), ("de", "4x6", 8), ("de", "A4", 32), ("us", "10x15", 2), ("ca", "a4", 16)],
)
def test_a_sheet_holds_as_many_copies_as_fit(
    astronaut: Image.Image, country: str, paper: str, copies: int
) -> None:
    photo = id_photo(astronaut, country)
    sheet = photo.sheet(paper)
    assert sheet.copies == copies == len(places(sheet.image, photo.image))
    sides = sorted(round(side / 25.4 * 300) for side in PAPERS[paper.lower()])
    assert sorted(sheet.image.size) == sides


def test_marks_in_the_margins_point_at_every_edge(german: IdPhoto) -> None:
    sheet = german.sheet("10x15").image
    (left, top), *_ = places(sheet, german.image)
    white = (255, 255, 255)
    assert sheet.getpixel((left - 1, 0)) != white
    assert sheet.getpixel((left + german.image.width, 0)) != white
    assert sheet.getpixel((0, top - 1)) != white
    assert sheet.getpixel((0, top + german.image.height)) != white
    assert sheet.getpixel((left + german.image.width // 2, 0)) == white


def test_an_unknown_paper_is_refused(german: IdPhoto) -> None:
    with pytest.raises(ConfigError, match="paper: 'a5' is unknown"):
        german.sheet("a5")


def places(sheet: Image.Image, picture: Image.Image) -> Sequence[tuple[int, int]]:
    """Where on a sheet the picture is, bit for bit, in rows from the upper left."""
    found: list[tuple[int, int]] = []
    wide, high = picture.size
    middle = high // 2  # a row with the face in it: the first one can be as white as the paper
    first = picture.crop((0, middle, wide, middle + 1)).tobytes()
    top = 0
    while top <= sheet.height - high:
        row = sheet.crop((0, top + middle, sheet.width, top + middle + 1)).tobytes()
        at = row.find(first)
        line = []
        while at >= 0:
            left = at // 3
            part = sheet.crop((left, top, left + wide, top + high))
            if at % 3 == 0 and part.tobytes() == picture.tobytes():
                line.append((left, top))
            at = row.find(first, at + 3 * wide)
        found += line
        top += high if line else 1
    return found
