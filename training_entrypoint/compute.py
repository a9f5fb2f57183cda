"""How much of a training's computing its validations take, counted in passes of the UNet.

A pass is one image once through the UNet. A training step takes one forward and, backward, one
more where a frozen network is only passed through (LoRA) and two where its weights have gradients;
what gradient checkpointing computes again is one more. An image that is drawn takes one a step, two
where it is guided. Texts, the VAE and the embedder are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from lensa.contract import BaseModelRef, GenerationRequest, TrainingConfig
from training_entrypoint.measuring.probes import probes_of

MOST = 0.1  # of all passes may be a validation's

# Where a configuration does not say in how many steps validation images are drawn: the most of
# these with which there are enough validations. Fewer steps blur; the base's own images, by which
# all is measured, are as blurred.
FEW = (10, 8, 6, 5, 4)
ENOUGH = 10  # validations in all steps: a training that stops half-way has seen five


def of_requests(requests: Iterable[GenerationRequest], base: BaseModelRef) -> int:
    """Return the passes that the images of some requests take on a base."""
    return sum(one.count * _of_image(one.suited_to(base)) for one in requests)


def _of_image(request: GenerationRequest) -> int:
    steps, scale, guided = request.steps, request.guidance_scale, request.guided
    assert steps is not None and scale is not None and guided is not None  # it is suited
    return steps + (round(guided * steps) if scale > 1 else 0)


def of_step(config: TrainingConfig) -> int:
    """Return the passes that a training step takes."""
    images = config.batch_size * config.gradient_accumulation
    images *= 2 if config.prior_preservation else 1
    backward = 1 if config.method == "lora" else 2
    return images * (1 + backward + (1 if config.gradient_checkpointing else 0))


@dataclass(frozen=True)
class Compute:
    """The passes of a run, part by part."""

    before: int  # to draw class images; none for those that came from a cache
    step: int  # a training step
    first: int  # the validation at step 0: the base's own answers
    each: int  # every other validation

    def share(self, step: int, validations: int) -> float:
        """Return what `validations` behind the first are of all passes up to a step."""
        looked = self.first + validations * self.each
        return looked / max(1, self.before + step * self.step + looked)

    def every(self, steps: int, patience: int) -> int:
        """Return the least distance of validations, in steps, with which they take no more than
        `MOST` of the passes of a training that ends anywhere; 0 if none fits.

        It can end behind `patience` validations at the earliest: before that they may run ahead.
        """
        fitting = (each for each in range(1, steps + 1) if self.fits(each, steps, patience))
        return next(fitting, 0)

    def fits(self, distance: int, steps: int, patience: int) -> bool:
        """Whether validations take no more than that, so many steps apart."""
        last = -(-steps // distance)  # the end is looked at, too
        ends = range(min(patience + 1, last), last + 1)
        return all(self.share(min(n * distance, steps), n) <= MOST for n in ends)


def compute_of(config: TrainingConfig, before: int) -> Compute:
    """Return what a run takes that has spent so many passes before its first step."""
    probes, base = probes_of(config), config.base
    return Compute(
        before,
        step=of_step(config),
        first=of_requests([probe.request for probe in probes], base),
        each=of_requests([probe.request for probe in probes if not probe.once], base),
    )


def plan_validations(config: TrainingConfig, before: int) -> tuple[TrainingConfig, int]:
    """Return the configuration with the steps in which validation images are drawn, and after how
    many training steps they are; 0: never on the way."""
    asked = config.validation_steps
    few = FEW if asked is None else (asked,)
    for steps in few:
        chosen = config.model_copy(update={"validation_steps": steps})
        compute, every = compute_of(chosen, before), config.validation_every
        if every == 0:
            break
        if every is not None:  # so often, in as many steps as that allows
            if compute.fits(every, config.steps, config.patience):
                break
            continue
        every = compute.every(config.steps, config.patience)
        if 0 < every <= max(1, config.steps // ENOUGH):
            break
    return chosen, every


@contextmanager
def counting(unet: nn.Module) -> Iterator[list[int]]:
    """Yield a list that takes the images of each pass that is made within."""
    passes: list[int] = []
    hook = unet.register_forward_pre_hook(lambda module, given: passes.append(len(given[0])))
    try:
        yield passes
    finally:
        hook.remove()
