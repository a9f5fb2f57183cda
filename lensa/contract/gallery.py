"""Images that a training job draws at its end with the avatar that it has made."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.generation import GenerationRequest, ImageFormat, Quality

MOST_IMAGES = 200  # of one job: they travel with the avatar

FOLDER = "gallery"  # of the avatar's files


class GalleryItem(Contract):
    """Some images of one prompt, most often a style's. They are what an endpoint answers to the
    same request."""

    title: ClassVar[str] = "gallery"

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]  # its folder's
    prompt: Annotated[str, Field(min_length=1, max_length=10_000)]
    negative_prompt: Annotated[str, Field(max_length=10_000)] = ""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    quality: Quality = "standard"
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance_scale: Annotated[float, Field(ge=1, le=50)] | None = None
    format: ImageFormat = "webp"  # a tenth of a PNG: an avatar stays megabytes

    def check(self) -> None:
        self.request(0)  # in the job, an error would cost

    def request(self, index: int) -> GenerationRequest:
        """Return the request for image `index`."""
        fields = self.model_dump(exclude={"name", "count"})
        return GenerationRequest(**fields, index=index)

    def path(self, index: int) -> str:
        """Return where image `index` lies among the avatar's files."""
        return f"{FOLDER}/{self.name}/{index:03d}.{'jpg' if self.format == 'jpeg' else self.format}"
