"""Reports as a coach might write them, for those who only show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from lensa.photos.coach import Finding, Report, Verdict
from lensa.photos.detectors import Face
from lensa.photos.finding import Severity
from lensa.photos.measure import Measured, measure
from lensa.photos.photoset import Photo, PhotoSet
from lensa.photos.prepare import prepare


def picture(number: int, width: int = 160, height: int = 120) -> Image.Image:
    return Image.effect_noise((width, height), 40 + number).convert("RGB")


def measured(name: str, faces: Sequence[Face] | None = None, number: int = 0) -> Measured:
    image = picture(number)
    found = measure(name, image, original_size=image.size, detector=None)
    return replace(found, faces=None if faces is None else tuple(faces))


def photo(name: str, number: int = 0, size: int = 64) -> Photo:
    return prepare(picture(number), size, name)


def finding(severity: Severity, *photos: str, code: str = "blurred", what: str = "") -> Finding:
    what = what or "it is blurred"
    return Finding(code, severity, photos, what, "the model learns the blur", "take it again")


def report(
    *findings: Finding,
    photos: Sequence[Measured] = (),
    verdict: Verdict = "will work",
    reasons: Sequence[str] = ("few photos",),
    next_shots: Sequence[str] = (),
) -> Report:
    return Report(
        kind="person",
        verdict=verdict,
        reasons=tuple(reasons),
        findings=findings,
        mix={"close-up": 2},
        next_shots=tuple(next_shots),
        detector=None,
        unreadable={},
        photos=tuple(photos),
    )


def photo_set(*photos: Photo, rejected: dict[str, str] | None = None) -> PhotoSet:
    return PhotoSet(64, photos, rejected or {}, ("1.jpg is 50 px and was enlarged to 64",))
