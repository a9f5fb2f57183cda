"""A training tried once more, from its last checkpoint: the memory was full, or the loss ran away.

Each happens once. Where the loss runs away again the training is over: the best step before that is
exported, if there is one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from inference_entrypoint.devices import device
from inference_entrypoint.families import family_of
from lensa.contract import Choice, Measurement, TrainingConfig
from lensa.errors import LensaError, TrainingError
from training_entrypoint.best import Best
from training_entrypoint.checkpoints import Origin
from training_entrypoint.compute import compute_of, of_requests, plan_validations
from training_entrypoint.deadline import Deadline
from training_entrypoint.decisions import Decisions, read_decisions
from training_entrypoint.dreambooth import train
from training_entrypoint.hardware import DTYPES, gpu_memory
from training_entrypoint.loss import Data
from training_entrypoint.measuring.probes import probes_of
from training_entrypoint.memory import Plan, Resting, choose
from training_entrypoint.prompts import Conditioning
from training_entrypoint.report import Report
from training_entrypoint.selecting import Selection
from training_entrypoint.stopping import StopRequest
from training_entrypoint.tracking import Tracker
from training_entrypoint.trainable import Trainable
from training_entrypoint.validation import Validation, sample_requests
from training_entrypoint.watchdog import Diverged, DrawsNothing


class Model:
    """The base, loaded again whenever a training begins anew."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self.pipeline = load()

    def reload(self) -> None:
        self.pipeline = None  # two of them may be more than the memory holds
        gc.collect()
        torch.cuda.empty_cache()
        self.pipeline = self._load()

    def take(self) -> Any:
        """Return the pipeline to someone who will drop it."""
        pipeline, self.pipeline = self.pipeline, None
        return pipeline


def learn(
    model: Model,
    data: Data,
    config: TrainingConfig,
    precision: str,
    *,
    folder: Path,
    origin: Origin,
    report: Report,
    tracker: Tracker,
    stop: StopRequest,
    deadline: Deadline,
    validation: Validation,
    drawn: int,
) -> tuple[Trainable, int, Choice | None]:
    """Train, and return what was trained, the steps, and which of them was chosen. `folder` is that
    of the checkpoints, `drawn` the passes of the UNet that class images took.

    Raises as `train` does, but TrainingError if the loss runs away a second time and nothing that
    was learned before is worth to be exported.
    """
    gpu = device().type == "cuda"
    decisions = read_decisions(folder, config)
    if decisions.memory is None:
        decisions = _decide_memory(decisions, config, model.pipeline, precision, report)
        decisions = replace(decisions, drawn=drawn)
        decisions.write(folder, config)
    measured, every = plan_validations(config, decisions.drawn)
    compute = compute_of(measured, decisions.drawn)
    validation.probes = probes_of(measured)
    looks = every > 0 and validation.probes and config.early_stopping != "off"
    undecided = (
        "what measured here knows other pictures" if looks and not validation.decides() else ""
    )
    samples = of_requests(sample_requests(config), config.base)
    deadline.longer = max(1.0, samples / max(1, compute.first))
    exported = DTYPES[precision] if config.method == "full" else None

    def select() -> Selection:
        best = Best(folder, config, exported)
        return Selection(config, best, every, validation.history, undecided)

    over, reached = "", 0
    while not over:
        plan = decisions.plan(config, gpu=gpu)

        def once(
            plan: Plan = plan, rate_factor: float = decisions.rate
        ) -> tuple[Trainable, int, Choice | None]:
            """All that is in memory for an attempt goes with it."""
            # A new one: fp16's loss scaler remembers the step that broke off.
            accelerator = _accelerator(precision)
            pipeline = model.pipeline
            trainable = Trainable(pipeline, plan.config, DTYPES[precision])
            conditioning = Conditioning(pipeline, config, data.prompts)
            resting = Resting(_idle(pipeline, trainable), device(), away=plan.offload)

            selection = select()

            def validate(step: int) -> Measurement | None:
                try:
                    with resting.here(), accelerator.autocast():
                        # The base's answer alone says nothing.
                        return validation.draw(pipeline, step, measure=every > 0)
                except LensaError as error:  # black images, or no numbers at all
                    if step == 0:  # the base's own
                        raise
                    raise DrawsNothing(step) from error

            steps, choice = train(
                pipeline,
                trainable,
                data,
                config,
                plan,
                conditioning,
                rate_factor=rate_factor,
                accelerator=accelerator,
                folder=folder,
                origin=origin,
                report=report,
                tracker=tracker,
                stop=stop,
                deadline=deadline,
                validate=validate,
                selection=selection,
            )
            accelerator.free_memory()  # the optimiser's moments
            if choice is not None:
                share = compute.share(steps, selection.validations)
                choice = choice.model_copy(update={"validation_share": round(share, 4)})
            return trainable, steps, choice

        try:
            return once()
        except (Diverged, RuntimeError, MemoryError) as error:
            try:
                decisions = decisions.after(error, plan, report)
            except TrainingError as last:
                # No more than words: the error holds all that was in memory. And on the disk there
                # is nothing of it: the same job, started again, may go on from its checkpoint.
                over, reached = str(last), getattr(error, "step", 0)
        decisions.write(folder, config)
        model.reload()
    trainable = Trainable(model.pipeline, decisions.plan(config, gpu=gpu).config, DTYPES[precision])
    selection = select()
    choice = _rescue(selection, trainable, reached, over, report)
    share = compute.share(reached, selection.validations)
    return trainable, reached, choice.model_copy(update={"validation_share": round(share, 4)})


def _rescue(
    selection: Selection, trainable: Trainable, reached: int, over: str, report: Report
) -> Choice:
    """Load the best step of a training that was `over` at the step it had `reached`. It has ended:
    the same call with a larger budget would train it no further. Raises TrainingError if no step is
    worth more than the last one, or its weights are gone."""
    selection.begin(reached, report.notice)
    choice, weights = selection.finish(reached, report)
    if choice is None or weights is None:
        raise TrainingError(over)
    trainable.load(weights)
    warning = " ".join(filter(None, [f"{over} The best step before is exported.", choice.warning]))
    return choice.model_copy(update={"stopped": True, "warning": warning})


def _accelerator(precision: str) -> Accelerator:
    return Accelerator(
        mixed_precision="no" if precision == "fp32" else precision, cpu=device().type == "cpu"
    )


def _decide_memory(
    decisions: Decisions, config: TrainingConfig, pipeline: Any, precision: str, report: Report
) -> Decisions:
    kind, why = choose(config, pipeline, precision, gpu_memory())
    if why:
        report.notice(why)
    return replace(decisions, memory=kind)


def _idle(pipeline: Any, trainable: Trainable) -> list[torch.nn.Module]:
    """Return the networks that a step does without."""
    parts = family_of(pipeline).parts(pipeline)
    return [
        part for name, part in parts.items() if name != "unet" and name not in trainable.modules
    ]
