"""What there is to show of a training, brought together from where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lensa.contract import AvatarManifest, Layout
from lensa.contract.measures import Measurement
from training_entrypoint.drawn import drawn_at
from training_entrypoint.measuring import record
from training_entrypoint.showing.pictures import small, spread
from training_entrypoint.tracking.journal import Journal

STEPS = 8  # of a strip
SIDE = 192  # pixels of its images at most


@dataclass(frozen=True)
class Shown:
    """A finished training."""

    manifest: AvatarManifest
    measurements: Sequence[Measurement]
    journal: Journal
    strip: dict[int, list[Image.Image]]  # small validation images by step, in the prompts' order
    samples: Sequence[Path]
    photos: Sequence[Path]
    notices: Sequence[str]  # what the job said that the user should know
    machine: str  # what it ran on, in words

    @property
    def chosen(self) -> int | None:
        """The step that was exported, if one was chosen."""
        return None if self.manifest.choice is None else self.manifest.choice.step


def gather(
    folder: Path,
    manifest: AvatarManifest,
    layout: Layout,
    journal: Journal,
    photos: Sequence[Path],
    notices: Sequence[str],
    machine: str,
) -> Shown:
    """Return what there is. What cannot be read is not there."""
    choice = manifest.choice
    chosen, last = None, manifest.steps_trained
    if choice is not None:
        chosen, last = choice.step, choice.trained
    drawn = drawn_at(layout.validation)
    drawn = {step: files for step, files in drawn.items() if step <= last}  # none of another try
    strip = {}
    for step in spread([*drawn], STEPS, chosen):
        images = [small(file, SIDE) for file in drawn[step]]
        whole = [image for image in images if image is not None]
        if len(whole) == len(images):
            strip[step] = whole
    samples = sorted((folder / "samples").glob("*.png"), key=lambda file: (len(file.stem), file))
    return Shown(
        manifest,
        record.read(layout.checkpoints),
        journal,
        strip,
        samples,
        photos,
        notices,
        machine,
    )
