"""An ID photo from any picture of one person."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

from PIL import Image

from lensa.errors import ConfigError, PhotosError
from lensa.id_photo.background import on_plain
from lensa.id_photo.files import write_picture
from lensa.id_photo.framing import Frame, frame, from_brow_to_chin
from lensa.id_photo.paper import Sheet, print_sheet
from lensa.id_photo.specifications import Specification, specification
from lensa.photos.detectors import Detector, Face, find_detector
from lensa.photos.formats import Unusable
from lensa.photos.maskers import find_masker
from lensa.photos.reading import read_picture

_LEAST_SIDE = 64  # pixels of the picture that is given
_LEAST_DPI, _MOST_DPI = 72, 1200
_ENLARGED = 1.5  # beyond that it is said
_ANOTHER = 0.4  # of the largest face's height: smaller ones are on a poster, or a mistake
_MISSING = 0.01  # of the height: what may be missing at an edge without a word
_AROUND = 1.5  # widths of the face beside the frame, for a masker to see what is background
_EXACT = "dlib"  # the detector whose boxes were compared with heads


@dataclass(frozen=True)
class IdPhoto:
    """A picture to a specification. A draft: no authority has to take a generated picture."""

    image: Image.Image
    specification: Specification
    dpi: int
    head_mm: float  # chin to crown, by the estimate
    plain: bool  # whether the background was replaced
    notes: tuple[str, ...] = ()

    def save(self, file: str | Path) -> Path:
        """Write it as PNG, JPEG or TIFF, its dpi inside. Raises ConfigError, StorageError."""
        return write_picture(self.image, Path(file), self.dpi)

    def sheet(self, paper: str = "10x15") -> Sheet:
        """Return as many copies as fit on a paper ("10x15" cm, "4x6" inches, "a4"), to print.

        Raises ConfigError for an unknown paper, or one that is too small.
        """
        wanted = self.specification
        return print_sheet(self.image, wanted.width, wanted.height, paper, dpi=self.dpi)

    def _repr_png_(self) -> bytes:
        data: bytes = self.image._repr_png_()  # type: ignore[assignment]
        return data


def id_photo(image: Image.Image, country: str, *, dpi: int = 300) -> IdPhoto:
    """Crop a picture of one person to what a country asks for, on a plain background.

    The head gets the middle of the allowed height (chin to crown, estimated as 1.55 times the face
    from brow to chin). What could not be done as it should be is in `notes`.

    Raises NotFoundError for an unknown country, PhotosError unless exactly one face is found,
    ConfigError for a dpi out of range or if no face detector is installed.
    """
    wanted = specification(country)
    if not _LEAST_DPI <= dpi <= _MOST_DPI:
        raise ConfigError(f"dpi = {dpi}: take one from {_LEAST_DPI} to {_MOST_DPI}; 300 prints.")
    detector = find_detector("person")
    if detector is None:
        raise ConfigError("an ID photo needs a face detector: pip install 'lensa[faces]'.")
    try:
        picture = read_picture(lambda: image, "", _LEAST_SIDE).image
    except Unusable as unusable:
        raise PhotosError(f"The picture cannot be used: {unusable}.") from None
    face = from_brow_to_chin(_one_face(detector, picture), detector.name)
    cut = frame(face, wanted)
    cleared = _cleared(picture, face, cut, wanted, wanted.pixels(dpi))
    notes = [*_detector_notes(detector), *_size_notes(cut, wanted, dpi)]
    notes += _edge_notes(cut, picture, wanted, plain=cleared is not None)
    if cleared is None:
        notes.append(
            "the background is as it was: nothing here could tell the person from it "
            "(pip install 'lensa[photos]'). Take a picture before a plain, light wall."
        )
    result = cleared or _resized(picture, cut, wanted.pixels(dpi), wanted.background)
    return IdPhoto(result, wanted, dpi, cut.head_mm, cleared is not None, tuple(notes))


def _one_face(detector: Detector, picture: Image.Image) -> Face:
    faces = detector.faces(picture)
    if not faces:
        raise PhotosError(
            "No face is found in the picture: take one that looks straight into the camera, "
            "with the whole head in it."
        )
    largest, *others = sorted(faces, key=lambda face: -face.height)
    near = [face for face in others if face.height >= _ANOTHER * largest.height]
    if near:
        raise PhotosError(
            f"There are {len(near) + 1} faces in the picture: crop it to the person it is for."
        )
    return largest


def _detector_notes(detector: Detector) -> list[str]:
    if detector.name == _EXACT:
        return []
    return [
        f"the face was measured by {detector.name}, which is rough: check the height of the head, "
        "or pip install 'lensa[faces]'."
    ]


def _size_notes(cut: Frame, wanted: Specification, dpi: int) -> list[str]:
    """Whether the picture has too few pixels."""
    enlarged = wanted.pixels(dpi)[1] / cut.height
    if enlarged <= _ENLARGED:
        return []
    least = ceil(cut.head_mm / 25.4 * dpi / _ENLARGED)
    return [
        f"the picture was enlarged {enlarged:.1f} times and is soft: take one in which the head is "
        f"at least {least} pixels high, or a lower dpi."
    ]


def _edge_notes(
    cut: Frame, picture: Image.Image, wanted: Specification, *, plain: bool
) -> list[str]:
    """What is missing at the edges. Above a whole head a plain background can simply go on."""
    notes = []
    for side, share in cut.beyond(picture.size).items():
        if share <= _MISSING or (side == "above" and plain and cut.crown >= 0):
            continue
        notes.append(
            f"the picture ends too early: {share * wanted.height:.0f} mm {side} were filled with "
            "the background's colour. Take one with more around the head."
        )
    return notes


def _cleared(
    picture: Image.Image, face: Face, cut: Frame, wanted: Specification, size: tuple[int, int]
) -> Image.Image | None:
    """The frame on a plain background; None if nothing can tell the person from the background."""
    masker = find_masker()
    if masker is None:
        return None
    beside = _AROUND * face.width
    left, top = max(0, floor(cut.left - beside)), max(0, floor(cut.top - beside))
    right = min(picture.width, ceil(cut.left + cut.width + beside))
    bottom = min(picture.height, ceil(cut.top + cut.height))
    around = picture.crop((left, top, right, bottom))
    mask = masker.mask(around, [face.within(left, top, 1.0)])
    if mask is None:
        return None
    here = cut.within(left, top)
    return on_plain(
        _resized(around, here, size, wanted.background),
        _resized(mask, here, size, "black"),
        wanted.background,
    )


def _resized(picture: Image.Image, cut: Frame, size: tuple[int, int], beyond: str) -> Image.Image:
    """The frame at the size asked for; what is beyond the picture has the colour `beyond`."""
    left, top, right, bottom = cut.box
    box = floor(left), floor(top), ceil(right), ceil(bottom)
    canvas = Image.new(picture.mode, (box[2] - box[0], box[3] - box[1]), beyond)
    canvas.paste(picture, (-box[0], -box[1]))
    inner = left - box[0], top - box[1], right - box[0], bottom - box[1]
    return canvas.resize(size, Image.Resampling.LANCZOS, box=inner)
