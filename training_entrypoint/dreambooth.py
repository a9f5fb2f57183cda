"""The DreamBooth loop (Ruiz et al. 2022, arXiv:2208.12242).

Each step follows from its number and from what a checkpoint holds: a training that was interrupted
goes on to the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler

from lensa.contract import Choice, Measurement, TrainingConfig
from training_entrypoint import checkpoints
from training_entrypoint.deadline import Deadline
from training_entrypoint.ema import Average
from training_entrypoint.hardware import peak_memory
from training_entrypoint.loss import Data, dreambooth_loss
from training_entrypoint.memory import Plan
from training_entrypoint.optimizers import make_optimizer, rates, set_learning_rate
from training_entrypoint.prompts import Conditioning
from training_entrypoint.randomness import seed_everything
from training_entrypoint.report import Report
from training_entrypoint.selecting import Selection
from training_entrypoint.state import State
from training_entrypoint.stopping import Stopped, StopRequest
from training_entrypoint.tracking import Tracker
from training_entrypoint.trainable import Trainable
from training_entrypoint.watchdog import Change, Diverged, Watchdog, all_finite


def train(
    pipeline: Any,
    trainable: Trainable,
    data: Data,
    config: TrainingConfig,
    plan: Plan,
    conditioning: Conditioning,
    *,
    rate_factor: float,
    accelerator: Accelerator,
    folder: Path,
    origin: checkpoints.Origin,
    report: Report,
    tracker: Tracker,
    stop: StopRequest,
    deadline: Deadline,
    validate: Callable[[int], Measurement | None],
    selection: Selection,
) -> tuple[int, Choice | None]:
    """Train to `config.steps`, or until the subject is learned, from the newest checkpoint in
    `folder` if there is one.

    `config` is what was asked for, `plan` how it is computed. `validate` measures a step, and
    `selection` says which steps, and when it is enough. In the end the weights are those to export,
    of a moving average the average. Returns the steps trained, which are fewer if the deadline
    comes near, and which step was chosen; None: the last one, and no other was looked at.

    Raises Stopped, with a checkpoint saved, if a stop was requested; Diverged, with the last
    checkpoint a good one, if the loss runs away; ConfigError if the deadline leaves no time for a
    single step; TrainingError if nothing was learned.
    """
    schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
    optimizer = make_optimizer(plan.config, trainable)
    average = None if config.ema_decay is None else Average(trainable, config.ema_decay)
    watchdog, change = Watchdog(config), Change(trainable)
    state = State(trainable, optimizer, accelerator, average, watchdog, origin)
    step = 0
    if found := checkpoints.newest(folder, config, report.notice):
        step, path = found
        state.load(path)
        report.notice(f"resumed from the checkpoint at step {step}")
    stop.step = began = step
    selection.begin(step, report.notice)
    tracker.back_to(step)
    optimizer = accelerator.prepare(optimizer)
    parameters = trainable.parameters()
    losses: list[torch.Tensor] = []
    norms: list[torch.Tensor] = []  # of the gradients, before they are clipped

    def judge() -> float:
        """The mean loss since the last report: the only wait for the device in this loop."""
        return watchdog.look(step, torch.stack(losses).tolist())

    def check(at: int) -> None:
        """Raise Diverged if what is trained is not worth to be saved, or to be drawn with."""
        if losses:
            judge()
        if not all_finite(trainable):
            raise Diverged(at, math.nan)

    def save(at: int) -> None:
        check(at)
        state.save(folder, at, config)
        selection.drop(checkpoints.steps_kept(folder))
        stop.step = at
        deadline.note()
        report.checkpoint(at)

    def save_and_stop(at: int) -> None:
        """What has run away is not saved: the next start goes back to the checkpoint before."""
        try:
            save(at)
        except Diverged:
            at = stop.step
        raise Stopped(at)

    def averaged() -> AbstractContextManager[None]:
        return nullcontext() if average is None else average.in_place()

    def look(at: int) -> None:
        try:
            with averaged():
                selection.take(at, validate(at), trainable)
        except Stopped:
            save_and_stop(at)
        except Diverged:  # its weights are numbers, and were saved if a checkpoint was due
            checkpoints.drop(folder, at)
            raise

    if step == 0:
        look(0)  # the base model's own answer, to compare with
        deadline.check_begun("before the first step")
    else:
        with averaged():
            selection.keep(step, trainable)  # it may have been killed right before
    report.stage("training")
    report.start_counting(step)
    group = max(1, config.steps // 100)
    images = config.batch_size * config.gradient_accumulation
    trainable.train()
    while True:
        if selection.due(step) and deadline.allows_drawing():
            with report.not_counting():
                check(step)
                look(step)
                selection.drop(checkpoints.steps_kept(folder))
                report.stage("training")
        if step >= config.steps:
            break
        if (verdict := selection.verdict()).stop:
            report.notice(f"stopped at step {step} of {config.steps}: {verdict.reason}")
            break
        if stop.requested:
            save_and_stop(step)
        if deadline.near():
            report.notice(
                "the time that the budget allows is nearly over: "
                f"the training ends at step {step} of {config.steps}"
            )
            break
        rate = set_learning_rate(optimizer, config, step, rate_factor)
        seed_everything(config.seed, "step", step)
        loss = torch.zeros((), device=accelerator.device)
        for accumulated in range(config.gradient_accumulation):
            draw = step * config.gradient_accumulation + accumulated
            for part in range(plan.parts):
                with accelerator.autocast():
                    share = dreambooth_loss(
                        pipeline.unet,
                        schedule,
                        data,
                        conditioning,
                        config,
                        draw,
                        part=(part, plan.parts),
                    )
                share = share / config.gradient_accumulation
                accelerator.backward(share)
                loss += share.detach()
        norms.append(accelerator.clip_grad_norm_(parameters, config.max_grad_norm).detach())
        change.note(norms[-1])
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            average.update(step)
        losses.append(loss)
        step += 1
        if step % group == 0 or step == config.steps:
            mean = judge()
            losses.clear()
            speed = report.progress(
                step, config.steps, loss=mean, learning_rate=rate, images_per_step=images
            )
            figures = {"loss": mean, "gradient_norm": torch.stack(norms).mean().item()}
            norms.clear()
            figures |= rates(optimizer)
            figures |= {"images_per_second": speed, "memory_gb": peak_memory() / 1e9}
            tracker.metrics(step, figures)
        if config.checkpoint_every and step % config.checkpoint_every == 0 and step < config.steps:
            with report.not_counting():
                save(step)
    # The export can fail too (a full disk, a killed process): what is trained is safe before it.
    save(step)
    choice, weights = selection.finish(step, report)
    if weights is not None:
        trainable.load(weights)
    elif average is not None:
        average.put()
    change.check(step, step - began)
    return step, choice
