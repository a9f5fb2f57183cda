"""Each flaw in a picture leads to its finding, and a good set to none of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

import pytest
from photos.coach import flaws
from photos.coach.labelled import FLAWS, SIZE
from photos.coach.scenes import (
    CLOSE_UP,
    UPPER_BODY,
    background,
    different,
    framings,
    person,
    some_place,
)
from photos.sets import CHELSEA, augmented
from PIL import Image
from requirements import need_module
from skimage import data

from lensa.photos.coach import Report, advise
from lensa.photos.detectors import Detector
from lensa.photos.measure import Measured, measure

QUALITY = set(FLAWS)


@cache
def haar() -> Detector:
    need_module("haar", "cv2", "'lensa[photos]'")
    from lensa.photos.detectors.haar import HaarDetector

    return HaarDetector()


@cache
def good_photos() -> tuple[Image.Image, ...]:
    """Twelve photos of one person that nothing is wrong with, but that she never turns her head."""
    rng = random.Random(20)
    places = different(rng, 12)
    return tuple(person(rng, *each) for each in zip(places, framings(12), strict=True))


@cache
def good_set() -> tuple[Measured, ...]:
    day = datetime(2026, 3, 1, 12)
    return tuple(
        eye(f"{index}.jpg", photo, taken=day + timedelta(days=index))
        for index, photo in enumerate(good_photos())
    )


def eye(name: str, photo: Image.Image, taken: datetime | None = None) -> Measured:
    return measure(name, photo, original_size=photo.size, detector=haar(), taken=taken)


def with_one(name: str, photo: Image.Image, taken: datetime | None = None) -> Report:
    """The good set, and one photo more."""
    return advise([*good_set(), eye(name, photo, taken)], kind="person", size=SIZE)


def codes(report: Report, name: str) -> set[str]:
    return {finding.code for finding in report.findings if name in finding.photos}


def whole(report: Report) -> set[str]:
    return {finding.code for finding in report.findings if not finding.photos}


def test_a_good_set_is_ready_and_nothing_is_said_of_it() -> None:
    report = advise(good_set(), kind="person", size=SIZE)
    assert report.findings == ()
    assert report.verdict == "ready"
    assert report.mix["full body"] == 2
    assert report.mix["close-up"] >= 7  # of 8: where one ends is a matter of a few pixels
    assert report.detector == "haar"


@pytest.mark.parametrize("code", sorted(FLAWS))
def test_a_flaw_is_found_and_nothing_else_with_it(code: str) -> None:
    photo = FLAWS[code](good_photos()[1], random.Random(7))
    found = codes(with_one("new.jpg", flaws.recompressed(photo)), "new.jpg") & QUALITY
    assert found - {"text"} == {code} - {"text"}
    assert code not in {"text", "screenshot"} or "text" in found


COPIES: list[tuple[str, Callable[[Image.Image, random.Random], Image.Image], int]] = [
    ("duplicate", flaws.duplicate, 60),
    ("near_duplicate", flaws.near_duplicate, 60),
    ("mirrored", flaws.mirrored, 60),
    ("burst", flaws.moment_later, 1),
]


@pytest.mark.parametrize(("code", "change", "seconds"), COPIES)
def test_a_copy_is_found_and_names_both(
    code: str, change: Callable[[Image.Image, random.Random], Image.Image], seconds: int
) -> None:
    taken = good_set()[0].taken
    assert taken is not None
    copy = change(good_photos()[0], random.Random(3))
    report = with_one("new.jpg", copy, taken + timedelta(seconds=seconds))
    (finding,) = [finding for finding in report.findings if "new.jpg" in finding.photos]
    assert finding.code == code
    assert finding.photos == ("0.jpg", "new.jpg")
    assert "keep one" in finding.do


def test_a_photo_taken_in_the_same_second_somewhere_else_is_no_burst() -> None:
    photo = person(random.Random(1), some_place(random.Random(8), 7), CLOSE_UP)
    assert "burst" not in codes(with_one("new.jpg", photo, good_set()[0].taken), "new.jpg")


def test_two_faces_of_one_size_stop() -> None:
    rng = random.Random(2)
    photo = person(rng, some_place(rng, 6), UPPER_BODY, count=2)
    report = with_one("both.jpg", photo)
    assert codes(report, "both.jpg") == {"other_people"}
    assert report.findings[0].severity == "stop"
    assert report.verdict == "will work"


def test_a_photo_without_a_face_is_named() -> None:
    photo = background(random.Random(1), 0, (400, 400))
    report = with_one("cup.jpg", photo)
    assert codes(report, "cup.jpg") == {"no_face"}
    assert report.mix["no face"] == 1


def test_one_place_throughout_is_told_and_the_next_photos_are_taken_elsewhere() -> None:
    rng = random.Random(6)
    place = some_place(rng, 0)
    photos = [eye(f"{index}.jpg", person(rng, place, CLOSE_UP)) for index in range(8)]
    report = advise(photos, kind="person", size=SIZE)
    assert {"same_background", "same_light", "mix", "few_photos"} <= whole(report)
    assert report.verdict != "ready"
    assert any("upper-body" in shot for shot in report.next_shots)
    assert any("against another background" in shot for shot in report.next_shots)


def test_a_cat_needs_no_human_face() -> None:
    cat = Image.fromarray(data.chelsea()).crop(CHELSEA)
    photos = [
        measure(f"{index}.jpg", photo, original_size=photo.size, detector=None)
        for index, photo in enumerate(augmented(cat, 10))
    ]
    report = advise(photos, kind="pet", size=128)
    assert not {"no_face", "other_people", "mix", "same_clothes"} & {
        f.code for f in report.findings
    }
    assert "same_background" in whole(report)
    assert report.mix == {}
    assert report.notes == ()


def test_the_bare_client_claims_nothing_about_faces() -> None:
    photos = [
        measure(f"{index}.jpg", photo, original_size=photo.size, detector=None)
        for index, photo in enumerate(good_photos())
    ]
    report = advise(photos, kind="person", size=SIZE)
    assert {finding.code for finding in report.findings} <= {"same_light"}
    assert report.mix == {}
    assert report.detector is None
    (note,) = report.notes
    assert "lensa[photos]" in note


def test_a_screenshot_is_known_by_its_name_too() -> None:
    photo = person(random.Random(9), some_place(random.Random(9), 8), CLOSE_UP)
    assert codes(with_one("Screenshot_20260301.png", photo), "Screenshot_20260301.png") == {
        "screenshot"
    }
