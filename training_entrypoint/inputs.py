"""The photos and class images of every concept: their files, and the prompt of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lensa.contract import Layout, TrainingConfig
from lensa.errors import PhotosError
from training_entrypoint.images import has_mask, image_files
from training_entrypoint.prompts import Prompts, read_captions


@dataclass(frozen=True)
class Photos:
    """The photos of all concepts, one after the other, and the prompt of each."""

    files: list[Path]
    prompts: list[str]
    captioned: int  # of them: those with a caption of their own
    digests: tuple[str, ...]  # now: they may be gone when the training is done

    def rows(self, prompts: Prompts, views: int) -> list[int]:
        """Return the number of each photo's prompt, `views` times: once a crop or mirror image."""
        return [prompts.number(text) for text in self.prompts for _ in range(views)]


def find_photos(config: TrainingConfig, layout: Layout) -> Photos:
    """Return the photos that were brought here. Raises PhotosError if a concept has none, or
    if a masked loss has no mask."""
    files: list[Path] = []
    prompts: list[str] = []
    captioned = 0
    for number, concept in enumerate(config.every_concept, start=1):
        own = image_files(layout.photos_of(number))
        if not own:
            of = f" of {concept.subject!r}" if config.concepts else ""
            raise PhotosError(f"there are no photos{of} in {layout.photos_of(number)}.")
        captions = read_captions(own)
        captioned += len(captions)
        files += own
        # Other concepts may be in the picture too: a caption names them as {subject2}.
        prompts += [
            concept.caption(config.fill_others(captions[photo]))
            if photo in captions
            else concept.fill(concept.instance_prompt)
            for photo in own
        ]
    if config.masked_loss and not any(has_mask(photo) for photo in files):
        raise PhotosError(
            "masked_loss is on, but none of the photos has a mask, which is an alpha channel. "
            "Let lensa train prepare them, or leave masked_loss off."
        )
    digests = tuple(hashlib.sha256(photo.read_bytes()).hexdigest() for photo in files)
    return Photos(files, prompts, captioned, digests)


def with_class_images(config: TrainingConfig, layout: Layout) -> list[int]:
    """Return the numbers of the concepts that have class images of the user's own."""
    numbers = range(1, len(config.every_concept) + 1)
    return [number for number in numbers if image_files(layout.class_images_of(number))]
