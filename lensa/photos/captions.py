"""Captions: what a photo shows, in `photo.txt` beside `photo.jpg`, as most trainers have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO, cast

from lensa.contract.concepts import MAX_PROMPT
from lensa.contract.prompts import with_subject
from lensa.errors import PhotosError
from lensa.photos.formats import Unusable
from lensa.photos.photoset import PhotoSet
from lensa.photos.reading import Opener
from lensa.photos.sources import Source

_MAX_BYTES = 4 * MAX_PROMPT  # no character takes more in UTF-8


def with_captions(
    photos: PhotoSet, sources: Sequence[Source], names: Sequence[str] | None = ()
) -> PhotoSet:
    """Return the photos with the captions that lie beside them.

    The subject's names, and "me", become `{subject}`: a name stays on this machine, and what the
    token learns is the subject. With `names` None a caption stays as it is written. Raises
    PhotosError, naming each, for captions that cannot be used.
    """
    beside = {source.name: source.caption for source in sources if source.caption is not None}
    captioned, wrong = [], []
    for photo in photos.photos:
        opener = beside.get(photo.name)
        if opener is None:
            captioned.append(photo)
            continue
        try:
            caption = read_caption(opener)
        except Unusable as error:
            wrong.append(f"  the caption of {photo.name}: {error.reason}")
            continue
        if names is not None:
            caption = with_subject(caption, names)
        captioned.append(replace(photo, caption=caption))
    if wrong:
        raise PhotosError(
            "\n".join(["Captions that cannot be used. Nothing was started.", *wrong])
            + "\nMend them, or leave captions out: --no-captions, in Python captions=False."
        )
    count = sum(bool(photo.caption) for photo in captioned)
    if not count:
        return photos
    said = (
        f"captions: {count} of {len(captioned)} photos are learned by the text beside them "
        "(--no-captions: by the instance prompt, like the others)"
    )
    return replace(photos, photos=tuple(captioned), notes=(*photos.notes, said))


def read_caption(opener: Opener) -> str:
    """Return a caption on one line; "" if it is empty. Raises Unusable."""
    try:
        with cast(BinaryIO, opener()) as file:  # beside a photo there is no picture in memory
            content = file.read(_MAX_BYTES + 4)
    except Unusable:
        raise
    except OSError as error:
        raise Unusable(f"it cannot be opened: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise Unusable(f"it has more than {MAX_PROMPT} characters: say it in a sentence")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unusable("it is not UTF-8 text: save it as UTF-8") from None
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) > MAX_PROMPT:
        raise Unusable(f"it has {len(text)} characters, more than {MAX_PROMPT}")
    return text
