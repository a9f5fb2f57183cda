"""What the coach says, on a terminal, as a picture, as a page, as files."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from photos.reports import finding, measured, photo, photo_set, report
from photos.sets import astronaut_photos
from PIL import Image
from rich.console import Console

from lensa.errors import StorageError
from lensa.photos.coach import Report
from lensa.photos.detectors import Face
from lensa.photos.examine import examine
from lensa.photos.photoset import PhotoSet
from lensa.photos.showing.contact import contact_sheet, face_boxes
from lensa.photos.showing.page import page
from lensa.photos.showing.preview import write_preview, write_sheet
from lensa.photos.showing.table import print_report
from lensa.photos.showing.upload import Upload
from lensa.photos.showing.words import AMBER, GREEN, RED
from lensa.photos.sources import find_sources

NASTY = "<script>alert(1)</script>[bold]&.jpg"


def printed(photos: PhotoSet, judged: Report) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_report(console, photos, judged)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def three() -> tuple[PhotoSet, Report]:
    """A good photo, one to think about, one that stops."""
    names = ("good.jpg", "soft.jpg", "bad.jpg")
    photos = photo_set(*(photo(name, i) for i, name in enumerate(names)), rejected={"x": "text"})
    judged = report(
        finding("advise", "soft.jpg"),
        finding("advise", "bad.jpg"),
        finding("stop", "bad.jpg", code="screenshot", what="it is a screenshot"),
        finding("advise", code="same_clothes", what="the same clothes throughout"),
        photos=[measured(name, (Face(70, 40, 30, 30),), i) for i, name in enumerate(names)],
        verdict="will disappoint",
        next_shots=("3 upper-body photos in daylight",),
    )
    return photos, judged


# -- the terminal


def test_the_table_says_what_why_and_what_to_do(three: tuple[PhotoSet, Report]) -> None:
    text = printed(*three)
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert re.search(r"160 x 120 +1 +good", rows["good.jpg"])
    assert "screenshot, blurred" in rows["bad.jpg"]
    assert text.index("stop   screenshot") < text.index("advise blurred")
    assert text.count("advise blurred") == 1
    assert text.count("the model learns the blur") == 3, "once a group"
    for words in (
        "what bad.jpg: it is a screenshot",
        "what soft.jpg: it is blurred",
        "what bad.jpg: it is blurred",
        "what the same clothes throughout",
        "why  the model learns the blur",
        "do   take it again",
        "left out: x: text",
        "framing: 2 close-up",
        "note: 1.jpg is 50 px and was enlarged to 64",
        "3 photos: will disappoint\n  few photos\n",
        "What to shoot next:\n  3 upper-body photos in daylight",
    ):
        assert words in text, words


def test_what_looks_like_markup_is_printed_as_it_is() -> None:
    judged = report(finding("advise", NASTY, what="[red]x[/red]"), photos=[measured(NASTY)])
    text = printed(photo_set(photo(NASTY), rejected={"[link]": "[/nope]"}), judged)
    for words in (NASTY, "[red]x[/red]", "[link]: [/nope]"):
        assert words in text


def test_a_long_list_of_photos_is_counted() -> None:
    text = printed(photo_set(), report(finding("advise", *(f"{i}.jpg" for i in range(20)))))
    assert "0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, 5.jpg and 14 more" in text


# -- the contact sheet


def marks(sheet: Image.Image) -> set[str]:
    """The colours that a line of some length was drawn in."""
    colours = sheet.getcolors(sheet.width * sheet.height)
    return {"#{:02x}{:02x}{:02x}".format(*colour) for count, colour in colours if count > 200}  # type: ignore[misc]


def test_the_sheet_marks_what_stops_in_red_and_the_faces(three: tuple[PhotoSet, Report]) -> None:
    photos, judged = three
    sheet = contact_sheet(photos, judged)
    assert {RED, AMBER, GREEN, "#00e5ff"} <= marks(sheet)
    calm = contact_sheet(photos, report(photos=judged.photos[:1], verdict="ready"))
    assert not {RED, AMBER} & marks(calm)


def test_the_sheet_has_a_row_for_every_five() -> None:
    heights = [
        contact_sheet(photo_set(*(photo(f"{i}.jpg", i) for i in range(n))), report()).height
        for n in (1, 5, 6, 11)
    ]
    assert heights[0] == heights[1] < heights[2] < heights[3]
    assert heights[3] - heights[2] == heights[2] - heights[1]


def test_a_face_is_marked_where_it_is_in_the_square() -> None:
    # 160 x 120: the square begins 20 px from the left.
    one = photo("a.jpg")
    faces = (Face(20, 0, 60, 60), Face(100, 90, 60, 60), Face(0, 0, 10, 10))
    boxes = face_boxes(one, measured("a.jpg", faces))
    assert boxes == [(0, 0, 0.5, 0.5), (pytest.approx(2 / 3), 0.75, 1, 1)]
    assert face_boxes(one, measured("a.jpg", None)) == face_boxes(one, None) == []


# -- the page


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_escaped_and_needs_nothing_else() -> None:
    judged = report(
        finding("stop", NASTY, code=NASTY, what=NASTY),
        photos=[measured(NASTY, (Face(70, 40, 30, 30),))],
        reasons=(NASTY,),
        next_shots=(NASTY,),
    )
    text = page(photo_set(photo(NASTY), rejected={NASTY: NASTY}), judged)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    names = {name for name, _ in tags.tags}
    assert names <= {"div", "p", "figure", "img", "span", "figcaption", "br", "table", "tr", "th",
                     "td", "b", "ul", "li"}  # fmt: skip
    sources = [attributes["src"] for name, attributes in tags.tags if name == "img"]
    assert len(sources) == 1
    assert str(sources[0]).startswith("data:image/jpeg;base64,")
    assert "http" not in text
    assert text.count("&lt;script&gt;") >= 6
    assert RED in text


def test_in_a_notebook_the_result_shows_itself(tmp_path: Path) -> None:
    examined = examine(astronaut_photos(tmp_path / "ada", count=4), 64)
    html = examined._repr_html_()
    assert html.count("<img ") == 4
    assert examined.report.verdict in html
    assert examined.sheet().width > 500


# -- files


def test_the_preview_is_what_the_model_will_see(tmp_path: Path) -> None:
    examined = examine(astronaut_photos(tmp_path / "ada", count=4), 64)
    paths = write_preview(examined.photo_set, tmp_path / "new" / "preview", examined.sources)
    assert [path.name for path in paths] == [f"0{i}-{i}.png" for i in range(1, 5)]
    for path, one in zip(paths, examined.photo_set.photos, strict=True):
        assert path.read_bytes() == one.png
    write_preview(examined.photo_set, tmp_path / "new" / "preview", examined.sources)
    assert len(list((tmp_path / "new" / "preview").iterdir())) == 4


def test_names_of_previews_stay_in_their_folder(tmp_path: Path) -> None:
    photos = photo_set(photo("../../up.jpg"), photo("day 1/a.jpg", 1), photo("...", 2))
    names = [path.name for path in write_preview(photos, tmp_path / "out")]
    assert names == ["01-up.png", "02-day-1-a.png", "03-x.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_original_in_the_way_is_spared(tmp_path: Path) -> None:
    folder = astronaut_photos(tmp_path / "ada", count=4)
    (folder / "1.jpg").rename(folder / "01-2.png")  # what the preview of 2.jpg would be called
    examined = examine(folder, 64)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (folder / "0-first.jpg").write_bytes(b"x")
    sources = find_sources(folder)
    with pytest.raises(StorageError, match="is one of your photos"):
        write_preview(photo_set(photo("2.jpg")), folder, sources)
    with pytest.raises(StorageError, match="is one of your photos"):
        write_sheet(examined.sheet(), folder / "3.jpg", sources)
    assert {path: path.read_bytes() for path in before} == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_preview(photo_set(photo("1.jpg")), tmp_path / "file")
    with pytest.raises(StorageError, match="cannot be written"):
        write_sheet(Image.new("RGB", (8, 8)), tmp_path / "file" / "sheet.png")


# -- what would be uploaded


def test_what_would_be_uploaded_is_counted_and_named() -> None:
    photos, others = photo_set(photo("1"), photo("2", 1)), photo_set(photo("3", 2))
    size = sum(len(one.png) for one in (*photos.photos, *others.photos))
    upload = Upload.of(photos, others, destination="s3://b/photos/", expiry="after 30 days")
    assert (upload.photos, upload.class_photos, upload.bytes) == (2, 1, size)
    text = "\n".join(upload.lines())
    for words in ("2 photos and 1 class photos", "64 x 64 px", "s3://b/photos/", "after 30 days"):
        assert words in text
    assert Upload.of(photos, expiry="after 30 days").lines() == [
        "Nothing leaves this machine: training runs here."
    ]
