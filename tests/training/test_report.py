"""The report and the chart that lie beside an avatar."""

from __future__ import annotations

import hashlib
import io
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import write_photos
from PIL import Image
from training.running import Job, make_job, tiny_config

from lensa.contract import AvatarManifest, Layout
from lensa.contract.environment import HOURLY
from lensa.contract.measures import Choice, Interval, Measurement
from training_entrypoint.export import describe
from training_entrypoint.measuring import record
from training_entrypoint.showing import write
from training_entrypoint.showing.chart import panels
from training_entrypoint.showing.pictures import small, spread
from training_entrypoint.tracking.journal import Journal

REASON = "step 4 of 8: likeness 0.71 of ceiling, flat since 2; retention 0.93"


class Page(HTMLParser):
    """What a browser would do with a page: what it loads, runs and shows."""

    EMPTY = frozenset({"meta", "img", "br", "path", "use", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.words, self.open = text, "", list[str]()
        self.loads, self.tags = list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = {"src", "srcset", "data", "action", "poster", "background"}
        self.loads += [value or "" for name, value in attrs if name in names]
        self.loads += [value or "" for name, value in attrs if name.endswith("href")]
        assert not any(name.startswith("on") for name, _ in attrs), "a page that runs something"
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words += data


def measured(step: int, **changes: object) -> Measurement:
    risen = 1 - math.exp(-step / 2)
    figures = {
        "likeness": 0.4 + 0.3 * risen,
        "likeness_floor": 0.4,
        "likeness_ceiling": 0.8,
        "retention": 1 - 0.02 * step,
        "memorisation": 0.5,
        "class_drift": 0.01 * step,
        "kid": Interval(value=0.02, low=0.01, high=0.04),
        "seconds": 1.5,
    }
    return Measurement.model_validate({"step": step, "embedder": "clip", **figures, **changes})


def finished(root: Path, steps: int = 8, every: int = 2) -> tuple[Layout, AvatarManifest, Journal]:
    """What a training of some steps leaves behind, without having trained."""
    layout = Layout(root)
    config = tiny_config(steps=steps, validation_prompts=["a photo of {subject}", "{subject} <b>"])
    journal = Journal(layout.checkpoints / "training.jsonl")
    for step in range(1, steps + 1):
        journal.add(step, {"loss": 1 / step, "images_per_second": 2.0, "memory_gb": 0.5})
    for step in range(0, steps + 1, every):
        record.add(layout.checkpoints, measured(step))
        folder = write_photos(layout.validation / f"step-{step:06d}", 2, side=256, seed=step)
        (folder / "class-0.png").write_bytes(b"drawn to measure by, and not shown")
    write_photos(layout.photos, 3)
    digests = tuple(
        hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(layout.photos.iterdir())
    )
    manifest = describe(
        config,
        avatar="lensa-7k2m0000-1f3a9c2e",
        base_revision="micro-1",
        photo_digests=digests,
        precision="fp32",
        steps=steps,
        token_pieces=(1,),
        vae_revision=None,
    )
    choice = Choice(step=4, trained=steps, of=steps, reason=REASON)
    return layout, manifest.model_copy(update={"choice": choice}), journal


def shown(
    root: Path, notices: tuple[str, ...] = (), **changes: object
) -> tuple[Path, Page, list[str]]:
    """Write what there is to show; return the folder, the page, and what was left out."""
    layout, manifest, journal = finished(root)
    folder, said = root / "avatar", list[str]()
    write_photos(folder / "samples", 2)
    write(
        folder,
        manifest.model_copy(update=changes),
        layout,
        journal=journal,
        photos=sorted(layout.photos.iterdir()),
        notices=notices,
        machine="a machine",
        say=said.append,
    )
    return folder, Page((folder / "report.html").read_text()), said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies beside an avatar, drawn once for those who only look."""
    folder, _, said = shown(tmp_path_factory.mktemp("shown"))
    assert said == []
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def test_the_page_says_what_was_exported_and_why(page: Page) -> None:
    assert "Step 4 of 8 was exported" in page.words
    assert REASON in page.words
    for part in ("How it went", "Images by step", "Samples", "Photos", "Time and cost", "Versions"):
        assert part in page.words
    assert "torch" in page.words
    assert "learning_rate" in page.words


def test_it_stands_by_itself(page: Page) -> None:
    """Nothing is loaded from elsewhere, nothing runs, and every tag is closed."""
    assert page.open == []
    outside = [url for url in page.loads if not url.startswith(("data:image/webp;base64,", "#"))]
    assert outside == []
    assert not {"script", "iframe", "object", "link"} & {*page.tags}
    assert "default-src 'none'" in page.text
    assert "prefers-color-scheme: dark" in page.text
    assert "@media print" in page.text


def test_the_curves_are_in_the_page_in_its_own_colour_of_text(page: Page) -> None:
    assert page.tags.count("svg") == 1
    assert "likeness to the photos" in page.words
    assert "step 4, exported" in page.words
    assert "currentColor" in page.text
    assert "#010203" not in page.text


def test_images_are_shown_by_step_and_kept_small(folder: Path, page: Page) -> None:
    pictures = [url for url in page.loads if url.startswith("data:")]
    assert len(pictures) == 5 * 2 + 2 + 3  # five steps of two prompts, samples, photos
    kept = sorted(path.relative_to(folder).as_posix() for path in folder.glob("validation/*/*"))
    assert len(kept) == 10
    assert kept[0] == "validation/step-000000/0.png"
    with Image.open(folder / kept[0]) as image:
        assert image.size == (192, 192)


def test_of_many_steps_some_are_shown_with_the_first_the_last_and_the_chosen() -> None:
    steps = list(range(0, 1000, 10))
    few = spread(steps, 8, kept=370)
    assert len(few) == 8
    assert {0, 370, 990} <= {*few}
    assert spread([0, 5, 9], 8, kept=5) == [0, 5, 9]


def test_whatever_is_not_ours_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=http://example.com/x>"
    choice = Choice(step=4, trained=8, of=8, reason=evil, warning=evil)
    _, page, _ = shown(tmp_path, notices=(evil,), choice=choice)
    assert "script" not in page.tags
    assert page.words.count("<script>") >= 3
    assert "ohwx person <b>" in page.words  # a prompt
    assert "example.com" not in "".join(page.loads)


def test_photos_are_small_copies_with_a_word_of_privacy(folder: Path, page: Page) -> None:
    photo = folder.parent / "input" / "data" / "photos" / "0.png"
    digest = hashlib.sha256(photo.read_bytes()).hexdigest()
    assert digest[:12] in page.words
    assert "go wherever it goes" in page.words
    assert (folder / "report.html").stat().st_size < 400_000


def test_the_chart_is_a_picture_with_the_strip_below(folder: Path) -> None:
    with Image.open(folder / "chart.png") as image:
        image.load()
        assert image.format == "PNG"
        assert image.width == 1200
        assert image.height > 700


def test_what_was_not_measured_has_no_curve() -> None:
    few = [measured(step, retention=None, memorisation=None, class_drift=None) for step in (0, 2)]
    assert [panel.title for panel in panels(few, [])] == ["likeness to the photos", "KID"]
    assert panels([], []) == []


def test_without_a_validation_there_is_still_a_report_with_the_price(
    tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not known here" in page.words
    monkeypatch.setenv(HOURLY, "1.515")
    _, manifest, _ = finished(tmp_path)
    bare = Layout(tmp_path / "bare")
    journal = Journal(bare.checkpoints / "training.jsonl")
    folder = tmp_path / "avatar"
    write(folder, manifest.model_copy(update={"choice": None}), bare, journal=journal)
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    bare_page = Page((folder / "report.html").read_text())
    assert "Trained 8 of 8 steps" in bare_page.words
    assert "at $1.515 an hour on demand" in bare_page.words


def test_what_goes_wrong_is_said_and_left_out(tmp_path: Path) -> None:
    layout, manifest, journal = finished(tmp_path)
    folder, said = tmp_path / "avatar", list[str]()
    (folder / "chart.png").mkdir(parents=True)  # nothing can be written there
    (layout.validation / "step-000002" / "0.png").write_bytes(b"no picture")
    gone = [tmp_path / "gone.png"]
    write(folder, manifest, layout, journal=journal, photos=gone, say=said.append)
    assert [line.partition(" is left out")[0] for line in said] == ["chart.png"]
    page = Page((folder / "report.html").read_text())
    assert all(digest[:12] in page.words for digest in manifest.photo_digests)
    assert "step 4, exported" in page.words
    assert "step 2" not in page.words.partition("Images by step")[2]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = make_job(tmp_path_factory.mktemp("report"), validation_every=2)
    job.run()
    return job


def test_a_training_leaves_them_beside_the_avatar_and_lists_them(job: Job) -> None:
    listed = {record.path: record.sha256 for record in job.manifest.files}
    assert {"report.html", "chart.png", "metrics.jsonl"} <= {*listed}
    assert "validation/step-000000/0.png" in listed
    content = (job.layout.model / "report.html").read_bytes()
    assert hashlib.sha256(content).hexdigest() == listed["report.html"]


def test_its_report_shows_the_real_curves_samples_and_photos(job: Job) -> None:
    page = Page((job.layout.model / "report.html").read_text())
    assert page.open == []
    assert page.tags.count("svg") == 1
    assert "training loss" in page.words
    assert all(digest[:12] in page.words for digest in job.manifest.photo_digests)
    assert str(job.layout.root) not in page.text


def test_a_training_without_a_tracker_keeps_its_figures_by_step(job: Job) -> None:
    text = (job.layout.checkpoints / "training.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == [1, 2, 3, 4]


def test_a_picture_in_the_page_carries_nothing_but_its_pixels(tmp_path: Path) -> None:
    taken = Image.new("RGB", (300, 200), "red")
    exif = taken.getexif()
    exif[0x010E] = "taken at home"
    taken.save(tmp_path / "photo.jpg", exif=exif)
    image = small(tmp_path / "photo.jpg", 96)
    assert image is not None
    assert image.size == (96, 64)
    stream = io.BytesIO()
    image.save(stream, "WEBP")
    assert b"taken at home" not in stream.getvalue()
    assert small(tmp_path / "none.jpg", 96) is None
