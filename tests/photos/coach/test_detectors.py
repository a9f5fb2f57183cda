"""Detectors find faces, say where, and are asked for in order."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints
from math import dist
from random import Random

import pytest
from photos.coach.scenes import FULL_BODY, UPPER_BODY, background, person, some_place
from photos.sets import ASTRONAUT, augmented
from PIL import Image
from requirements import need_module
from skimage import data

from lensa.photos import detectors
from lensa.photos.detectors import Detector, Face, find_detector
from lensa.photos.measure import measure

FACE = (180, 70, 90, 100)  # of the astronaut: left, top, width, height, from brow to chin


@cache
def haar() -> Detector:
    need_module("haar", "cv2", "'lensa[photos]'")
    from lensa.photos.detectors.haar import HaarDetector

    return HaarDetector()


@cache
def dlib() -> Detector:
    need_module("dlib", "dlib", "'lensa[faces]'")
    need_module("dlib", "face_recognition_models", "'lensa[faces]'")
    from lensa.photos.detectors.resnet import DlibDetector

    return DlibDetector()


@pytest.fixture(params=[haar, dlib])
def detector(request: pytest.FixtureRequest) -> Detector:
    made: Detector = request.param()
    return made


@pytest.fixture
def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


def overlap(face: Face, box: tuple[float, float, float, float]) -> float:
    left, top, width, height = box
    wide = min(face.left + face.width, left + width) - max(face.left, left)
    high = min(face.top + face.height, top + height) - max(face.top, top)
    both = max(0.0, wide) * max(0.0, high)
    return both / (face.width * face.height + width * height - both)


def test_a_face_is_found_where_it_is(detector: Detector, astronaut: Image.Image) -> None:
    (face,) = detector.faces(astronaut)
    assert overlap(face, FACE) > 0.6


def test_a_face_has_the_same_place_in_a_larger_picture(
    detector: Detector, astronaut: Image.Image
) -> None:
    (face,) = detector.faces(astronaut.resize((1400, 1400)))
    assert overlap(face, tuple(value * 1400 / 512 for value in FACE)) > 0.6  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket", "brick", "grass", "retina"])
def test_no_face_where_nobody_is(detector: Detector, name: str) -> None:
    assert detector.faces(Image.fromarray(getattr(data, name)()).convert("RGB")) == []


def test_a_whole_body_still_has_a_face(detector: Detector) -> None:
    rng = Random(3)
    photo = person(rng, some_place(rng, 4), FULL_BODY)
    (face,) = detector.faces(photo)
    assert face.height < photo.height / 8


def test_two_faces_are_two(detector: Detector) -> None:
    rng = Random(5)
    photo = person(rng, some_place(rng, 1), UPPER_BODY, count=2)
    faces = detector.faces(photo)
    assert len(faces) == 2
    assert faces[0].height >= faces[1].height


@pytest.mark.parametrize("size", [(1, 1), (30, 900), (24, 24)])
def test_tiny_and_narrow_pictures_have_no_face(detector: Detector, size: tuple[int, int]) -> None:
    assert detector.faces(Image.new("RGB", size, "pink")) == []


def test_threads_share_a_detector(detector: Detector, astronaut: Image.Image) -> None:
    pictures = [astronaut, background(Random(1), 0, (300, 300))] * 4
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda picture: len(detector.faces(picture)), pictures))
    assert found == [1, 0] * 4


def test_embeddings_of_one_person_are_near(astronaut: Image.Image) -> None:
    detector = dlib()
    photos = [astronaut, *augmented(astronaut.crop(ASTRONAUT), 3)]
    who = [detector.faces(photo)[0].embedding for photo in photos]
    assert all(embedding is not None and len(embedding) == 128 for embedding in who)
    assert all(dist(who[0], other) < 0.35 for other in who[1:])  # type: ignore[arg-type]


def test_a_head_that_looks_into_the_camera_is_not_turned(astronaut: Image.Image) -> None:
    (face,) = dlib().faces(astronaut)
    assert face.turned == pytest.approx(0, abs=0.06)


def test_faces_are_given_in_pixels_of_the_original(
    detector: Detector, astronaut: Image.Image
) -> None:
    photo = measure("a.jpg", astronaut, original_size=(5120, 5120), detector=detector)
    assert photo.faces is not None
    assert overlap(photo.faces[0], tuple(10 * value for value in FACE)) > 0.6  # type: ignore[arg-type]
    assert photo.detector == detector.name
    assert photo.framing == "upper body"


class Everywhere:
    name = "everywhere"

    def faces(self, image: Image.Image) -> list[Face]:
        return [Face(0, 0, image.width, image.height)]


def test_another_detector_can_be_plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("mine", f"{__name__}:Everywhere", detectors.ENTRY_POINTS)
    monkeypatch.setattr(
        detectors, "entry_points", lambda group: EntryPoints([entry]).select(group=group)
    )
    found = find_detector("person")
    assert found is not None
    assert found.name == "everywhere"


@pytest.mark.parametrize("kind", ["pet", "object"])
def test_nobody_looks_for_human_faces_of_a_pet_or_an_object(kind: str) -> None:
    assert find_detector(kind) is None


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        (set(), "dlib"),
        ({"dlib"}, "haar"),
        ({"face_recognition_models"}, "haar"),
        ({"dlib", "cv2"}, None),
    ],
)
def test_the_best_detector_that_is_installed_is_taken(
    monkeypatch: pytest.MonkeyPatch, missing: set[str], name: str | None
) -> None:
    haar(), dlib()
    present = detectors.find_spec
    monkeypatch.setattr(detectors, "entry_points", lambda group: EntryPoints([]))
    monkeypatch.setattr(
        detectors, "find_spec", lambda module: None if module in missing else present(module)
    )
    found = find_detector("person")
    assert (found.name if found else None) == name


def test_the_coach_loads_no_detector_before_it_is_asked_for_one() -> None:
    script = "import sys, lensa.photos.coach, lensa.photos.detectors; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"cv2", "dlib", "_dlib_pybind11", "numpy"} & set(out.stdout.split())
