"""Masks tell the subject from what is around it, and travel as the photos' alpha channel."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from random import Random
from statistics import median

import numpy as np
import pytest
from photos.coach.scenes import CLOSE_UP, UPPER_BODY, background, person, some_place
from photos.pngs import chunk_names
from photos.silhouettes import composed, drawn, judged
from PIL import Image, ImageDraw
from requirements import need_module

from lensa.errors import ConfigError, PhotosError
from lensa.photos import maskers
from lensa.photos.detectors import Face, find_detector
from lensa.photos.examine import Examined, examine
from lensa.photos.maskers import Masker, find_masker
from lensa.photos.photoset import Photo
from lensa.photos.showing.preview import write_preview


@cache
def grabcut() -> Masker:
    need_module("haar", "cv2", "'lensa[photos]'")
    from lensa.photos.maskers.grabcut import GrabCutMasker

    return GrabCutMasker()


def pixels(photo: Photo) -> Image.Image:
    return Image.open(io.BytesIO(photo.png))


def portraits(folder: Path, count: int = 4) -> Path:
    """Photos of a person in several places."""
    rng = Random(7)
    folder.mkdir()
    for index in range(count):
        person(rng, some_place(rng, index + 2), UPPER_BODY).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portraits(tmp_path_factory.mktemp("masks") / "photos")


@pytest.fixture(scope="module")
def checked(folder: Path) -> Examined:
    grabcut()
    return examine(folder, 64, masks=True)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Examined:
    return examine(folder, 64)


def test_a_person_is_told_from_the_background_by_the_face() -> None:
    need_module("haar", "cv2", "'lensa[photos]'")
    detector = find_detector("person")
    found = [judged(outlined, grabcut(), detector) for outlined in composed(seed=2)]
    told = [judgement for judgement in found if judgement is not None]
    assert len(told) == len(found) == 27
    assert median(overlap for overlap, _ in told) > 0.75
    assert median(kept for _, kept in told) > 0.85


def test_drawn_people_are_told_from_their_backgrounds() -> None:
    need_module("mini", "lensa_mini", "lensa-mini (make setup)")
    found = [judged(outlined, grabcut(), None) for outlined in drawn(seed=2, count=12)]
    told = [judgement for judgement in found if judgement is not None]
    assert len(told) >= 6
    assert median(overlap for overlap, _ in told) > 0.6


def test_the_same_photo_gets_the_same_mask_in_every_thread() -> None:
    photo = person(Random(3), some_place(Random(3), 1), CLOSE_UP)
    with ThreadPoolExecutor(4) as pool:
        masks = list(pool.map(lambda _: grabcut().mask(photo, None), range(8)))
    assert masks[0] is not None
    assert len({mask.tobytes() for mask in masks if mask is not None}) == 1


@pytest.mark.parametrize(
    "photo",
    [
        Image.new("RGB", (256, 256), "red"),
        background(Random(1), 3, (256, 256)),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (700, 3), "blue"),
    ],
    ids=["one colour", "grass", "a pixel", "a strip"],
)
def test_without_a_subject_there_is_no_mask_to_speak_of(photo: Image.Image) -> None:
    mask = grabcut().mask(photo, None)
    assert mask is None or (np.asarray(mask) > 127).mean() > 0.5


@pytest.mark.parametrize(
    "face",
    [Face(-40, -40, 400, 400), Face(500, 500, 90, 90), Face(100, 100, 0, 0), Face(0, 0, 256, 256)],
    ids=["larger than the photo", "outside", "nothing", "all of it"],
)
def test_a_face_anywhere_does_no_harm(face: Face) -> None:
    photo = person(Random(3), some_place(Random(3), 1), CLOSE_UP).resize((256, 256))
    mask = grabcut().mask(photo, [face])
    assert mask is None or mask.size == photo.size


def test_a_person_whose_face_is_not_found_gets_none() -> None:
    assert grabcut().mask(person(Random(3), some_place(Random(3), 1), CLOSE_UP), []) is None


def test_the_mask_is_the_alpha_channel_and_the_picture_below_it_is_whole(
    checked: Examined, plain: Examined
) -> None:
    assert checked.photo_set.digests != plain.photo_set.digests
    for masked, whole in zip(checked.photo_set.photos, plain.photo_set.photos, strict=True):
        assert masked.masked and not whole.masked
        assert pixels(whole).mode == "RGB"
        assert pixels(masked).mode == "RGBA"
        assert pixels(masked).convert("RGB").tobytes() == pixels(whole).tobytes()
        alpha = np.asarray(pixels(masked).getchannel("A"))
        assert 0.05 < (alpha > 127).mean() < 0.95
        assert set(chunk_names(masked.png)) == {b"IHDR", b"IDAT", b"IEND"}  # nothing but pixels


def test_what_is_left_out_is_shown_pale(tmp_path: Path, checked: Examined, plain: Examined) -> None:
    assert np.asarray(checked.sheet()).mean() > np.asarray(plain.sheet()).mean() + 5
    assert "<img" in checked._repr_html_()
    first = write_preview(checked.photo_set, tmp_path / "preview")[0]
    with Image.open(first) as picture:
        assert picture.mode == "RGBA"


def test_a_photo_without_a_mask_is_named_and_counts_whole(tmp_path: Path) -> None:
    folder = portraits(tmp_path / "photos")
    background(Random(1), 0, (440, 480)).save(folder / "nobody.png")
    grabcut()
    checked = examine(folder, 64, masks=True)
    assert checked.photo_set.notes == ("no mask, so all of the picture counts: nobody.png",)
    assert [photo.masked for photo in checked.photo_set.photos] == [True] * 4 + [False]


def test_photos_without_any_subject_are_refused_before_anything_is_paid(tmp_path: Path) -> None:
    for index in range(4):
        image = background(Random(index), index, (440, 480))
        image.save(tmp_path / f"{index}.png")
    grabcut()
    with pytest.raises(PhotosError, match="in none of the photos can the subject be told"):
        examine(tmp_path, 64, masks=True)


def test_without_a_masker_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maskers, "find_spec", lambda module: None)
    with pytest.raises(ConfigError, match=r"pip install 'lensa\[photos\]'"):
        examine(portraits(tmp_path / "photos"), 64, masks=True)


class RoundMasker:
    """Takes the middle for the subject."""

    name = "round"

    def mask(self, image: Image.Image, faces: Sequence[Face] | None) -> Image.Image | None:
        assert image.mode == "RGB" and image.width == image.height
        for face in faces or ():  # in pixels of the square that it was given
            assert 0 <= face.left < face.left + face.width <= image.width
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).ellipse((0, 0, *image.size), fill=255)
        return mask


def test_another_masker_can_be_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("mine", f"{__name__}:RoundMasker", maskers.ENTRY_POINTS)
    monkeypatch.setattr(
        maskers, "entry_points", lambda group: EntryPoints([entry]).select(group=group)
    )
    found = find_masker()
    assert found is not None and found.name == "round"
    first = examine(portraits(tmp_path / "photos"), 64, masks=True).photo_set.photos[0]
    alpha = np.asarray(pixels(first).getchannel("A"))
    assert alpha[0, 0] == 0 and alpha[32, 32] == 255


def test_a_face_is_told_in_pixels_of_any_part() -> None:
    face = Face(100, 80, 40, 50, confidence=0.5, turned=0.1)
    assert face.within(60, 40, 0.5) == replace(face, left=20, top=20, width=20, height=25)
