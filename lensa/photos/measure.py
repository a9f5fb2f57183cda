"""Everything that the coach has to know of one photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from PIL import Image

from lensa.photos.detectors import Detector, Face
from lensa.photos.traits.framing import background_parts, clothes_part, framing, main_face
from lensa.photos.traits.light import Light, light
from lensa.photos.traits.likeness import Print, print_of
from lensa.photos.traits.overlays import Overlays, overlays
from lensa.photos.traits.palette import Palette, in_the_light_of, palette
from lensa.photos.traits.sharpness import blur, blur_of_sharpest

__all__ = ["Measured", "measure"]

_SHARP_SIDE = 512  # pixels: what is blurred at this size is seen by a model, what is not, is not
_LEAST_FACE = 24  # pixels, to measure anything of it
_SMALL = 192  # pixels: enough for colours and light


@dataclass(frozen=True)
class Measured:
    """What was measured of one readable photo. Lives as long as the check."""

    name: str
    width: int  # of the upright original, in pixels
    height: int
    faces: tuple[Face, ...] | None  # in pixels of the original; None: nobody looked
    detector: str | None  # who looked
    taken: datetime | None  # by the camera's clock
    blur: float | None  # 0 sharp, 1 blurred: of the face, or of the sharper parts; None: nothing
    light: Light
    subject_light: Light  # of the face, or of the middle of the picture
    print: Print = field(repr=False)
    overlays: Overlays
    background: Palette | None = field(repr=False)  # None: a close-up has none
    clothes: Palette | None = field(repr=False)  # only below a face

    @property
    def face(self) -> Face | None:
        """The subject's: the largest."""
        return main_face(self.faces)

    @property
    def framing(self) -> str | None:
        """close-up, upper body, full body or no face; None if nobody looked."""
        return None if self.faces is None else framing(self.face, self.height)


def measure(
    name: str,
    image: Image.Image,
    *,
    original_size: tuple[int, int],
    detector: Detector | None,
    taken: datetime | None = None,
) -> Measured:
    """Measure an upright sRGB picture in mode RGB, of 512 to 1600 px where the original has them.

    `original_size` is that of the upright original; `taken` is when it was taken, by its camera's
    clock. May be called from several threads at once.
    """
    faces = None if detector is None else tuple(detector.faces(image))
    face = main_face(faces)
    if face is not None and min(face.width, face.height) < _LEAST_FACE:
        face = None
    scale = original_size[0] / image.width
    small = image.copy()
    small.thumbnail((_SMALL, _SMALL), Image.Resampling.BOX)
    part = None if face is None else _cut(image, face, margin=0.1)
    clothes = None if face is None else clothes_part(image, face)
    if clothes is not None and part is not None:
        clothes = in_the_light_of(clothes, part)
    return Measured(
        name=name,
        width=original_size[0],
        height=original_size[1],
        faces=None if faces is None else tuple(found.within(0, 0, scale) for found in faces),
        detector=None if detector is None else detector.name,
        taken=taken,
        blur=_blur(image, part),
        light=light(small),
        subject_light=light(_middle(small) if part is None else part),
        print=print_of(small.convert("L")),
        overlays=overlays(image),
        background=palette(background_parts(image, face)),
        clothes=None if clothes is None else palette([clothes]),
    )


def _blur(image: Image.Image, part: Image.Image | None) -> float | None:
    share = min(1.0, _SHARP_SIDE / min(image.size))
    looked_at = image if part is None else part
    size = (round(looked_at.width * share), round(looked_at.height * share))
    if min(size) < _LEAST_FACE:
        return None
    grey = looked_at.convert("L").resize(size, Image.Resampling.LANCZOS)
    return blur_of_sharpest(grey) if part is None else blur(grey)


def _middle(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 5, height // 5, width - width // 5, height - height // 5))


def _cut(image: Image.Image, face: Face, margin: float) -> Image.Image:
    return image.crop(
        (
            max(0, round(face.left - margin * face.width)),
            max(0, round(face.top - margin * face.height)),
            min(image.width, round(face.left + (1 + margin) * face.width)),
            min(image.height, round(face.top + (1 + margin) * face.height)),
        )
    )
