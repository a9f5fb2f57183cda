"""What a validation measured, and what was made of it: the lines of `metrics.jsonl`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lensa.contract._model import Contract

# Beside the avatar:
METRICS_FILE = "metrics.jsonl"  # one Measurement a line, in the steps' order
CHART_FILE = "chart.png"  # the curves, the choice marked, and a strip of validation images
REPORT_FILE = "report.html"  # one page that stands by itself
VALIDATION_FOLDER = "validation"  # the strip's images: step-000340/0.png


class Interval(Contract):
    """A score of few images, with the bounds that 95% of resampled scores lie in."""

    title: ClassVar[str] = "interval"

    value: float
    low: float
    high: float


class Measurement(Contract):
    """The images of one validation against the photos and against the base's own answers.

    Similarities are cosines of image features. None: not measured, and a note says why.
    """

    title: ClassVar[str] = "measurement"

    step: int = Field(ge=0)
    embedder: str  # whose features
    likeness: float | None = None  # the subject's images to the photos
    likeness_floor: float | None = None  # the base's images of the same prompts to the photos
    likeness_ceiling: float | None = None  # each photo to the others
    retention: float | None = None  # text-image score of the context probes; 1: as the base's own
    nearest_photo: float | None = None  # the highest similarity of an image to a photo
    memorisation: float | None = None  # that, where 1 is as near as two of the photos are
    class_drift: float | None = None  # of "a photo of a person" towards the subject; 0: none
    fid: Interval | None = None  # against the class images; of few images: compare, no more
    kid: Interval | None = None
    images: tuple[str, ...] = ()  # paths below the checkpoints folder
    seconds: float = Field(default=0.0, ge=0)  # that drawing and measuring took
    notes: tuple[str, ...] = ()

    @property
    def likeness_share(self) -> float | None:
        """The likeness on the way from its floor, 0, to its ceiling, 1."""
        if self.likeness is None or self.likeness_floor is None or self.likeness_ceiling is None:
            return None
        way = self.likeness_ceiling - self.likeness_floor
        return (self.likeness - self.likeness_floor) / way if way > 1e-6 else None


class Choice(Contract):
    """Which step was exported, and why."""

    title: ClassVar[str] = "choice"

    step: int = Field(ge=0)  # whose weights are the avatar's
    trained: int = Field(ge=0)  # the last step that was trained
    of: int = Field(ge=1)  # the steps that were asked for
    stopped: bool = False  # by itself: more time would not have been used
    reason: str  # in words, with the figures
    warning: str | None = None  # what is wrong with this training all the same
    # What validations took of all passes through the UNet, class images counted with the rest.
    validation_share: float | None = Field(default=None, ge=0, le=1)
