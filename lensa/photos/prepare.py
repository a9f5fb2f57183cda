"""From photos to the pictures that a model is trained on."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from lensa.errors import PhotosError
from lensa.photos.crop import square
from lensa.photos.detectors import Face
from lensa.photos.formats import Unusable
from lensa.photos.maskers import Masker
from lensa.photos.measure import Measured
from lensa.photos.photoset import Photo, PhotoSet
from lensa.photos.reading import Picture, read_picture
from lensa.photos.sources import Buckets, PhotoInput, Source, described, find_sources

__all__ = [
    "MAX_PHOTOS",
    "MIN_PHOTOS",
    "Photo",
    "PhotoSet",
    "Prepared",
    "load_photos",
    "photo_set",
    "prepare",
    "prepare_all",
]

MIN_PHOTOS = 4  # with fewer, DreamBooth learns the pictures instead of the subject
MAX_PHOTOS = 200  # more is a folder of holidays, given by mistake

_THREADS = 2  # one decodes while the other looks for faces; each holds one photo
_TO_LOOK_AT = 640  # pixels of the shorter side that looking at a photo takes

Progress = Callable[[int, int], None]  # photos done, photos in all
Look = Callable[[str, Picture], Measured]


@dataclass(frozen=True)
class Prepared:
    """What became of one source: a photo, or the reason why not."""

    name: str
    photo: Photo | None = None
    measured: Measured | None = None
    reason: str = ""


def load_photos(
    source: PhotoInput,
    size: int,
    *,
    least: int = MIN_PHOTOS,
    most: int = MAX_PHOTOS,
    buckets: Buckets | None = None,
) -> PhotoSet:
    """Return photos without a look at what is in them: see lensa.photos.examine for that.

    Each is `size` x `size` pixels. The originals stay as they are. A file that cannot be used is
    left out and named in `rejected`; so is a second file that comes out the same. Raises
    PhotosError if fewer than `least` remain, or if there are more than `most` files.
    """
    prepared = prepare_all(checked(find_sources(source, buckets=buckets), source, most), size)
    return photo_set(prepared, size, source, least)


def checked(sources: list[Source], given: PhotoInput, most: int) -> list[Source]:
    """Return the sources, or raise PhotosError if they are more than `most`."""
    if len(sources) > most:
        raise PhotosError(
            f"{described(given)} holds {len(sources)} files, and {most} are the most. Is it the "
            "right folder? 10 to 20 good photos of one subject are plenty."
        )
    return sources


def prepare_all(
    sources: Sequence[Source],
    size: int,
    *,
    look: Look | None = None,
    masker: Masker | None = None,
    on_progress: Progress | None = None,
) -> list[Prepared]:
    """Return what becomes of each source, in their order. Each photo is decoded once.

    `look` and `masker` are called from several threads, `on_progress` by the calling one.
    """

    def work(source: Source) -> Prepared:
        return _prepared(source, size, look, masker)

    done: list[Prepared] = []
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="lensa-photos")
    with warnings.catch_warnings():  # what Pillow thinks of damaged EXIF is of no use to anybody
        warnings.filterwarnings("ignore", module="PIL")
        try:
            for prepared in pool.map(work, sources):
                done.append(prepared)
                if on_progress is not None:
                    on_progress(len(done), len(sources))
        finally:  # broken off, it does not go on with all the rest
            pool.shutdown(cancel_futures=True)
    return done


def _prepared(source: Source, size: int, look: Look | None, masker: Masker | None) -> Prepared:
    # A square may be half as large as it has to be: enlarged, but still a likeness.
    enough = max(2 * size, _TO_LOOK_AT) if look or masker else 2 * size
    try:
        picture = read_picture(source.open, source.suffix, max(32, size // 2), enough)
    except Unusable as error:
        return Prepared(source.name, reason=error.reason)
    measured = look(source.name, picture) if look else None
    photo = prepare(
        picture.image,
        size,
        source.name,
        faces=measured.faces if measured else None,
        original_size=picture.size,
        masker=masker,
    )
    return Prepared(source.name, photo, measured)


def photo_set(prepared: Sequence[Prepared], size: int, given: PhotoInput, least: int) -> PhotoSet:
    """Return the photos that can be used, each once; PhotosError if they are fewer than `least`."""
    photos: dict[str, Photo] = {}  # by digest
    rejected: dict[str, str] = {}
    notes: list[str] = []
    for one in prepared:
        photo = one.photo
        if photo is None:
            rejected[one.name] = one.reason
            continue
        if photo.sha256 in photos:
            first = photos[photo.sha256].name
            rejected[one.name] = f"same picture as {first}: a copy adds nothing"
            continue
        photos[photo.sha256] = photo
        if photo.side < size:
            notes.append(f"{one.name} is {photo.side} px and was enlarged to {size}")
    if len(photos) < least:
        raise PhotosError(_too_few(described(given), len(photos), least, rejected), rejected)
    return PhotoSet(size, tuple(photos.values()), rejected, tuple(notes))


def prepare(
    image: Image.Image,
    size: int,
    name: str,
    *,
    faces: Sequence[Face] | None = None,
    original_size: tuple[int, int] | None = None,
    masker: Masker | None = None,
) -> Photo:
    """Return the square of an RGB picture that is kept, `size` pixels a side.

    `faces` are in pixels of the original, whose size is `original_size` if `image` is a smaller
    copy; None: nobody looked. It is packed as PNG: at 64 pixels, the 8 x 8 blocks of JPEG are what
    a model would learn. What `masker` makes of the square becomes its alpha channel.
    """
    width, height = original_size or image.size
    left, top, right, bottom = square(width, height, faces or ())
    across, down = image.width / width, image.height / height
    box = (left * across, top * down, right * across, bottom * down)
    small = image.resize((size, size), Image.Resampling.LANCZOS, box=box)
    pixels = Image.new("RGB", small.size)  # PNG would carry what `small.info` says
    pixels.paste(small)
    mask = None
    if masker is not None:
        kept = image.resize((_TO_LOOK_AT, _TO_LOOK_AT), Image.Resampling.LANCZOS, box=box)
        scale = _TO_LOOK_AT / (right - left)
        inside = faces and [face.within(left, top, scale) for face in faces]
        mask = masker.mask(kept, inside)
        if mask is not None:
            pixels.putalpha(mask.resize(small.size, Image.Resampling.BILINEAR))
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG", compress_level=4)  # 6 takes twice the time for 1 % less
    png = buffer.getvalue()
    digest = hashlib.sha256(png).hexdigest()
    return Photo(name, png, digest, (left, top, right, bottom), masked=mask is not None)


def _too_few(given: str, usable: int, least: int, rejected: dict[str, str]) -> str:
    lines = [
        f"{given}: {usable} usable {'photo' if usable == 1 else 'photos'}, "
        f"{least} are needed. Add {least - usable} more.",
        *(f"  {name}: {reason}" for name, reason in rejected.items()),
    ]
    return "\n".join(lines)
