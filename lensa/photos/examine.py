"""The coach's whole round: every photo read once, measured, prepared, and the set judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from lensa.errors import ConfigError, PhotosError
from lensa.photos.coach import Report, advise
from lensa.photos.detectors import find_detector
from lensa.photos.maskers import Masker, find_masker
from lensa.photos.measure import Measured, measure
from lensa.photos.photoset import PhotoSet
from lensa.photos.prepare import (
    MAX_PHOTOS,
    MIN_PHOTOS,
    Progress,
    checked,
    photo_set,
    prepare_all,
)
from lensa.photos.reading import Picture
from lensa.photos.sources import Buckets, PhotoInput, Source, find_sources

__all__ = ["Examined", "examine"]

_MOST_ADVICE = 6  # lines of it before a training; `lensa check` has them all
_LOOKED_AT = 1120  # pixels of the longer side: the same for every photo, so that figures compare
_TO_SEE_FACES = 200  # pixels of the shorter side: in less, to miss a face proves nothing


@dataclass(frozen=True)
class Examined:
    """Photos as they would be trained on, and what the coach says of them."""

    photo_set: PhotoSet
    report: Report
    sources: tuple[Source, ...] = ()

    @property
    def stopped(self) -> bool:
        """Whether something stands in the way of a training."""
        return any(finding.severity == "stop" for finding in self.report.findings)

    def for_training(self, *, anyway: bool = False) -> PhotoSet:
        """Return the photos with the coach's advice among their notes.

        Raises PhotosError, listing them, if there are findings that stop; `anyway` makes notes of
        them, too.
        """
        from lensa.photos.showing.words import (
            advice_lines,
            reason_lines,
            stop_lines,
            verdict_line,
        )

        photos, report = self.photo_set, self.report
        if self.stopped and not anyway:
            lines = "\n".join(f"  {line}" for line in stop_lines(report))
            raise PhotosError(
                f"These photos would not make an avatar. Nothing was started.\n{lines}\n"
                "lensa check PHOTOS shows all there is to say about them. If the coach is wrong, "
                "train all the same: --anyway, in Python anyway=True.",
                photos.rejected,
            )
        advice = (*stop_lines(report), *advice_lines(report))
        more = len(advice) - _MOST_ADVICE
        verdict = verdict_line(report, len(photos.photos))
        reasons = "; ".join(reason_lines(report))
        said = [*photos.notes, *report.notes, f"{verdict} ({reasons})" if reasons else verdict]
        said += advice[:_MOST_ADVICE]
        if more > 0:
            said.append(f"{more} more pieces of advice: lensa check PHOTOS")
        return replace(photos, notes=tuple(said))

    def sheet(self) -> Image.Image:
        """Return a contact sheet with the coach's marks."""
        from lensa.photos.showing.contact import contact_sheet

        return contact_sheet(self.photo_set, self.report)

    def to_json(self) -> dict[str, Any]:
        """Return the report, and what would be uploaded: no pixels, no faces."""
        from lensa.photos.showing.upload import Upload

        upload = Upload.of(self.photo_set).to_json()
        return {**self.report.to_json(), "size": self.photo_set.size, "upload": upload}

    def _repr_html_(self) -> str:
        from lensa.photos.showing.page import page

        return page(self.photo_set, self.report)


def examine(
    photos: PhotoInput,
    size: int,
    *,
    kind: str = "person",
    least: int = MIN_PHOTOS,
    most: int = MAX_PHOTOS,
    recursive: bool = False,
    masks: bool = False,
    buckets: Buckets | None = None,
    on_progress: Progress | None = None,
) -> Examined:
    """Read, measure, prepare and judge photos of one subject. The originals stay as they are.

    Args:
        photos: a folder, a zip, an S3 address, PIL images, file objects, or a list of them.
        size: of the base model, in pixels a side.
        kind: person, pet, object or style; changes what is looked for.
        least, most: how many photos there have to be, and may be.
        recursive: enter folders in the folder.
        masks: tell the subject from what is around it, for a masked loss.
        buckets: how to reach S3; without it, an S3 address is refused.
        on_progress: called with how many photos are done, and how many there are.

    Raises:
        PhotosError: there are too few that can be read, or too many, or no subject to be masked.
        ConfigError: nothing is installed that makes masks.
    """
    masker = _masker() if masks else None
    sources = checked(find_sources(photos, recursive=recursive, buckets=buckets), photos, most)
    detector = find_detector(kind)

    def look(name: str, picture: Picture) -> Measured:
        return measure(
            name,
            _small(picture.image),
            original_size=picture.size,
            detector=detector if min(picture.size) >= _TO_SEE_FACES else None,
            taken=picture.taken,
        )

    prepared = prepare_all(sources, size, look=look, masker=masker, on_progress=on_progress)
    loaded = photo_set(prepared, size, photos, least)
    if masker is not None:
        loaded = replace(loaded, notes=(*loaded.notes, *_unmasked(loaded)))
    report = advise(
        [one.measured for one in prepared if one.measured],
        kind=kind,
        size=size,
        unreadable={one.name: one.reason for one in prepared if one.photo is None},
    )
    if detector is not None and report.detector is None:  # it is installed, but of no use here
        report = replace(report, notes=("The photos are too small to look for faces in.",))
    return Examined(loaded, report, tuple(sources))


def _masker() -> Masker:
    masker = find_masker()
    if masker is None:
        raise ConfigError(
            "masked_loss needs to know where in each photo the subject is, and nothing that could "
            "tell is installed: pip install 'lensa[photos]', or leave masked_loss off."
        )
    return masker


def _unmasked(photos: PhotoSet) -> list[str]:
    """Name the photos that got no mask; raise PhotosError if none got one."""
    whole = [photo.name for photo in photos.photos if not photo.masked]
    if len(whole) == len(photos.photos):
        raise PhotosError(
            "masked_loss: in none of the photos can the subject be told from what is around it. "
            "Use photos that show it against something of another colour, or leave masked_loss off."
        )
    if not whole:
        return []
    return [f"no mask, so all of the picture counts: {', '.join(whole)}"]


def _small(image: Image.Image) -> Image.Image:
    scale = _LOOKED_AT / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
