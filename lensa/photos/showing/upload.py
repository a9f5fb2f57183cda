"""What would leave the machine, said before it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lensa.photos.photoset import PhotoSet


@dataclass(frozen=True)
class Upload:
    """The photos of a training that runs elsewhere; without a destination, nothing leaves."""

    photos: int
    bytes: int  # class photos included
    class_photos: int = 0
    size: int = 0  # pixels a side
    destination: str | None = None
    expiry: str | None = None  # when they are gone from there, in words

    @classmethod
    def of(
        cls,
        photos: PhotoSet,
        class_photos: PhotoSet | None = None,
        *,
        destination: str | None = None,
        expiry: str | None = None,
    ) -> Upload:
        """Count what would be sent: the prepared photos, never the originals."""
        others = class_photos.photos if class_photos is not None else ()
        return cls(
            photos=len(photos.photos),
            bytes=sum(len(photo.png) for photo in (*photos.photos, *others)),
            class_photos=len(others),
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
            "bytes": self.bytes,
            "destination": self.destination,
            "expiry": self.expiry,
        }
