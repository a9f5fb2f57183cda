"""The verdict, its reasons and what to shoot next follow from what was measured."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from photos.coach.measured import GOOD_LIGHT, face, measured

from lensa.photos.coach import Report, advise
from lensa.photos.measure import Measured
from lensa.photos.rules.quality import quality
from lensa.photos.traits.light import Light

CLOSE, UPPER, FULL = 400, 160, 90  # heights of a face in 1000 px
SOMEBODY = tuple([0.1234567] * 128)
SOMEBODY_ELSE = tuple([0.2] * 128)  # 1.13 away


def person(number: int, height: float = CLOSE, **fields: Any) -> Measured:
    found = face(height, embedding=fields.pop("embedding", SOMEBODY), turned=0.1 * (number % 5))
    return measured(number, **{"faces": (found,), "detector": "dlib", **fields})


def mixed(count: int = 20) -> list[Measured]:
    heights = ([CLOSE] * 3 + [UPPER] + [CLOSE] * 2 + [FULL] + [CLOSE, UPPER, CLOSE]) * 2
    return [person(number, heights[number]) for number in range(count)]


def report(photos: list[Measured], kind: str = "person", **fields: Any) -> Report:
    return advise(photos, kind=kind, size=512, **fields)


def codes(found: Report) -> set[str]:
    return {finding.code for finding in found.findings}


def test_twenty_good_photos_are_ready() -> None:
    found = report(mixed())
    assert found.verdict == "ready"
    assert codes(found) == set()
    assert found.reasons == ("20 of 20 photos do well",)
    assert found.mix == {"close-up": 14, "upper body": 4, "full body": 2}
    assert found.next_shots == (
        "1 upper-body photo in daylight",
        "1 full-body photo in daylight",
    )


def test_no_photos_at_all_disappoint_and_do_not_crash() -> None:
    found = report([], unreadable={"a.jpg": "empty"})
    assert found.verdict == "will disappoint"
    assert found.reasons[:2] == ("there is no photo", "1 photo cannot be used")
    assert found.mix == {}
    assert json.dumps(found.to_json())


@pytest.mark.parametrize(
    ("count", "verdict"),
    [(3, "will disappoint"), (4, "will work"), (9, "will work"), (10, "ready")],
)
def test_the_number_of_photos_decides(count: int, verdict: str) -> None:
    photos = [measured(number) for number in range(count)]
    assert report(photos, kind="object").verdict == verdict


def test_copies_do_not_count() -> None:
    photos = [measured(number) for number in range(10)]
    twins = [measured(100 + n, print=photo.print) for n, photo in enumerate(photos)]
    found = report([*photos[:5], *twins[:5]], kind="object")
    assert "5 of 10 photos do well" in found.reasons
    assert found.verdict == "will work"
    found = report([photos[0], *(measured(100 + n, print=photos[0].print) for n in range(9))])
    assert found.verdict == "will disappoint"


def test_a_third_of_bad_photos_disappoints() -> None:
    bad = [measured(number, blur=0.9) for number in range(4)]
    good = [measured(number) for number in range(10, 18)]
    assert report([*good, *bad[:3]], kind="object").verdict == "will work"
    assert report([*good[:7], *bad], kind="object").verdict == "will disappoint"


def test_what_stops_comes_first() -> None:
    photos = [measured(0, width=400, height=600), *(measured(n) for n in range(1, 11))]
    photos.append(measured(50, blur=0.9))
    found = report(photos, kind="object")
    assert [finding.severity for finding in found.findings] == ["stop", "advise"]
    assert [finding.code for finding in found.findings] == ["blurred", "small"]


@pytest.mark.parametrize(
    ("fields", "code", "severity"),
    [
        ({"width": 511, "height": 900}, "small", "advise"),
        ({"width": 255, "height": 900}, "small", "stop"),
        ({"blur": 0.65}, "blurred", "advise"),
        ({"subject_light": Light(5, 20, 80, 0, 0, 0), "faces": (face(),)}, "dark", "advise"),
        ({"subject_light": Light(1, 9, 40, 0, 0, 0), "faces": (face(),)}, "dark", "stop"),
        ({"subject_light": Light(90, 250, 255, 0.3, 0, 0)}, "blown_out", "advise"),
        ({"light": Light(110, 140, 160, 0, 0, 0)}, "low_contrast", "advise"),
        ({"name": "Bildschirmfoto 2026.png"}, "screenshot", "advise"),
    ],
)
def test_one_photo_has_one_flaw(fields: dict[str, Any], code: str, severity: str) -> None:
    (finding,) = quality(measured(1, **fields), size=512)
    assert (finding.code, finding.severity) == (code, severity)
    assert finding.what and finding.why and finding.do


def test_a_dark_subject_before_a_light_wall_is_not_called_dark_without_a_face() -> None:
    black_cat = Light(5, 20, 80, 0, 0, 0)
    assert quality(measured(1, subject_light=black_cat, light=GOOD_LIGHT), size=512) == []


def test_somebody_else_is_told_by_the_embedding() -> None:
    photos = [*mixed(10), person(30, embedding=SOMEBODY_ELSE)]
    (finding,) = [f for f in report(photos).findings if f.code == "other_person"]
    assert finding.photos == ("30.jpg",)
    assert finding.severity == "stop"


def test_two_people_in_halves_are_one_finding() -> None:
    photos = [person(n, embedding=SOMEBODY if n % 2 else SOMEBODY_ELSE) for n in range(10)]
    found = report(photos)
    assert len([f for f in found.findings if f.code == "other_person"]) == 1
    assert found.verdict == "will disappoint"


def test_without_embeddings_nobody_is_called_somebody_else() -> None:
    photos = [person(n, embedding=None) for n in range(10)]
    assert "other_person" not in codes(report(photos))


def test_a_small_face_in_the_background_is_nobody() -> None:
    passer_by = face(CLOSE * 0.3)
    photos = mixed(12)
    photos[0] = person(0, faces=(face(CLOSE), passer_by))
    assert "other_people" not in codes(report(photos))


def test_photos_without_faces_are_one_finding_when_most_are() -> None:
    nobody = [person(n, faces=()) for n in range(8)]
    found = report([*nobody, person(20), person(21)])
    (finding,) = [f for f in found.findings if f.code == "no_face"]
    assert len(finding.photos) == 8
    assert "--kind" in finding.do
    assert found.verdict == "will work"


def test_a_face_that_a_blur_hides_is_not_missed_twice() -> None:
    photos = [*mixed(10), person(40, faces=(), blur=0.7)]
    assert {f.code for f in report(photos).findings if f.photos} == {"blurred"}


def test_only_close_ups_ask_for_the_rest_of_the_body() -> None:
    found = report([person(n) for n in range(12)])
    assert codes(found) == {"mix"}
    assert found.next_shots == (
        "3 upper-body photos in daylight",
        "2 full-body photos in daylight",
    )


def test_the_next_photos_make_up_for_what_is_the_same_throughout() -> None:
    photos = [person(n, background={1: 1.0}, clothes={2: 1.0}) for n in range(12)]
    found = report(photos)
    assert {"same_background", "same_clothes"} <= codes(found)
    assert found.next_shots == (
        "3 upper-body photos in daylight against another background, in other clothes",
        "2 full-body photos in daylight against another background",
    )


def test_a_pet_is_asked_for_other_sides() -> None:
    photos = [measured(n, background={1: 1.0}) for n in range(5)]
    found = report(photos, kind="pet")
    assert found.next_shots == ("7 photos from other sides in daylight against another background",)
    assert found.mix == {}


def test_a_head_that_never_turns_is_told_where_somebody_measured_it() -> None:
    still = [person(n, faces=(face(turned=0.01, embedding=SOMEBODY),)) for n in range(10)]
    assert "same_angle" in codes(report(still))
    unknown = [person(n, faces=(face(turned=None),)) for n in range(10)]
    assert "same_angle" not in codes(report(unknown))


def test_one_afternoon_is_told_from_the_clock() -> None:
    start = datetime(2026, 5, 1, 15)
    photos = [measured(n, taken=start + timedelta(minutes=2 * n)) for n in range(10)]
    assert codes(report(photos, kind="object")) == {"one_session"}
    photos = [measured(n, taken=None) for n in range(10)]
    assert codes(report(photos, kind="object")) == set()


def test_a_pair_is_told_once_and_the_sharpest_is_kept() -> None:
    same = datetime(2026, 5, 1, 15)
    first = measured(1, taken=same)
    twin = measured(2, taken=same, print=first.print, background=first.background, blur=0.1)
    found = [f for f in report([first, twin], kind="object").findings if f.photos]
    assert [finding.code for finding in found] == ["duplicate"]
    assert "2.jpg is the best" in found[0].do


def test_a_flawed_copy_is_not_the_one_to_keep() -> None:
    sharp_but_small = measured(1, width=200, height=200, blur=0.1)
    whole = measured(2, print=sharp_but_small.print, blur=0.3)
    found = report([sharp_but_small, whole], kind="object").findings
    [copies] = [finding for finding in found if finding.code == "duplicate"]
    assert "2.jpg is the best" in copies.do


def test_the_report_says_nothing_of_who_somebody_is() -> None:
    text = json.dumps(report(mixed()).to_json())
    assert "embedding" not in text
    assert str(SOMEBODY[0]) not in text
    assert "print" not in text
    assert json.loads(text)["photos"][0]["framing"] == "close-up"
    assert "embedding" not in repr(mixed()[0])
