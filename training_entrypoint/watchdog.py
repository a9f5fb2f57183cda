"""What stops a training that goes wrong: a loss out of bounds, black images, nothing learned."""

from __future__ import annotations

import math

import torch
from PIL import Image

from lensa.contract import TrainingConfig
from lensa.errors import TrainingError
from training_entrypoint.trainable import Trainable

TIMES = 10.0  # what a loss may rise to: so often what a model that predicts nothing would have
BLACK = 2  # of 255: an image without a brighter value shows nothing


class Diverged(Exception):
    """The loss is not a number, or beyond all bounds."""

    def __init__(self, step: int, loss: float) -> None:
        what = "is not a number" if math.isnan(loss) else f"has risen to {loss:.4g}"
        super().__init__(f"the loss {what} at step {step}")
        self.step = step


class DrawsNothing(Diverged):
    """The weights are numbers, and yield black images or none."""

    def __init__(self, step: int) -> None:
        Exception.__init__(self, f"the model draws nothing any more at step {step}")
        self.step = step


class Watchdog:
    """Holds the losses against what they may be.

    What is to be predicted has unit variance, so that a model that predicts nothing has a loss of 1
    for the photos and of `prior_loss_weight` for the class images. A base may begin above that:
    `first` is its own loss, at the first step.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._nothing = 1.0 + config.prior_loss_weight * config.prior_preservation
        self.first: float | None = None

    def look(self, step: int, losses: list[float]) -> float:
        """Return the mean of the losses since the last look; Diverged if it is out of bounds."""
        if self.first is None:
            self.first = losses[0]
        mean = math.fsum(losses) / len(losses)
        known = self.first if math.isfinite(self.first) else 0.0
        if not mean <= TIMES * max(self._nothing, known):
            raise Diverged(step, mean)
        return mean


def all_finite(trainable: Trainable) -> bool:
    """Whether every weight is a number. Waits for the device once."""
    sums = torch._foreach_norm([parameter.detach() for parameter in trainable.parameters()])
    return bool(torch.stack(sums).isfinite().all())


class Change:
    """Whether something was learned: the weights are no longer those of the beginning, and a
    gradient has moved them. (An optimiser's weight decay moves them, too.)"""

    def __init__(self, trainable: Trainable) -> None:
        self._trainable = trainable
        self._before = self._sums()
        self._steepest: torch.Tensor | None = None

    def note(self, norm: torch.Tensor) -> None:
        """Take in the norm of a step's gradient. Waits for no device."""
        norm = norm.detach()
        self._steepest = norm if self._steepest is None else torch.maximum(self._steepest, norm)

    def check(self, steps: int, noted: int) -> None:
        """Raise TrainingError if nothing was learned in `steps` steps, `noted` of them noted: of a
        training that was resumed those before are not known."""
        if self._steepest is not None and noted == steps and not self._steepest:
            raise TrainingError(
                f"nothing was learned: in {steps} steps no photo had anything to say. With "
                "masked_loss, look at the masks, or raise unmasked_weight."
            )
        if torch.equal(self._sums(), self._before):
            raise TrainingError(
                f"nothing was learned: after {steps} steps all weights are as they were. Raise "
                "learning_rate or steps; with precision fp16, whose first steps are skipped to "
                "find a scale, raise steps or use bf16."
            )

    @torch.no_grad()
    def _sums(self) -> torch.Tensor:
        """Return (N, 2): of each weight the sum, and the sum of squares."""
        rows = [
            torch.stack([weight.double().sum(), weight.double().square().sum()])
            for weight in self._trainable.parameters()
        ]
        return torch.stack(rows).cpu()


def check_not_black(images: list[Image.Image], where: str) -> None:
    """Raise TrainingError if there are images and every one of them is black."""
    if images and all(_brightest(image) <= BLACK for image in images):
        raise TrainingError(
            f"the images {where} are black: the model draws nothing any more. Lower learning_rate, "
            "or use precision bf16 or fp32; if the base itself draws black, use another one."
        )


def _brightest(image: Image.Image) -> int:
    return int(image.convert("L").getextrema()[1])
