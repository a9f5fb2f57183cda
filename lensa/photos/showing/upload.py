"""What would leave the machine, said before it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lensa.photos.photoset import PhotoSet


class _Photos(Protocol):
    """The photos of a further concept, and images of its class."""

    @property
    def photos(self) -> PhotoSet: ...
    @property
    def class_photos(self) -> PhotoSet | None: ...


@dataclass(frozen=True)
class Upload:
    """The photos of a training that runs elsewhere; without a destination, nothing leaves."""

    photos: int
    bytes: int  # class photos included
    class_photos: int = 0
    size: int = 0  # pixels a side
    destination: str | None = None
    captions: int = 0
    expiry: str | None = None  # when they are gone from there, in words

    @classmethod
    def of(
        cls,
        photos: PhotoSet,
        class_photos: PhotoSet | None = None,
        concepts: Sequence[_Photos] = (),
        *,
        destination: str | None = None,
        expiry: str | None = None,
    ) -> Upload:
        """Count what would be sent: the prepared photos, never the originals."""
        own = [*photos.photos, *(photo for each in concepts for photo in each.photos.photos)]
        sets = [class_photos, *(each.class_photos for each in concepts)]
        others = [photo for each in sets if each is not None for photo in each.photos]
        files = [file for photo in (*own, *others) for file in photo.files.values()]
        return cls(
            photos=len(own),
            bytes=sum(len(file) for file in files),
            class_photos=len(others),
            captions=sum(bool(photo.caption) for photo in own),
            size=photos.size,
            destination=destination,
            expiry=expiry if destination else None,
        )

    def lines(self) -> list[str]:
        """Say what goes where, and until when."""
        if self.destination is None:
            return ["Nothing leaves this machine: training runs here."]
        what = f"{self.photos} photos"
        if self.class_photos:
            what += f" and {self.class_photos} class photos of yours"
        if self.captions:
            what += f" with {self.captions} {'caption' if self.captions == 1 else 'captions'}"
        return [
            f"{what} would be uploaded: {self.bytes / 1e6:.1f} MB, cropped to {self.size} x "
            f"{self.size} px, without metadata; the originals stay here.",
            f"  to       {self.destination}",
            f"  deleted  {self.expiry}",
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "photos": self.photos,
            "class_photos": self.class_photos,
            "captions": self.captions,
            "bytes": self.bytes,
            "destination": self.destination,
            "expiry": self.expiry,
        }
