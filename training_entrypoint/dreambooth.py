"""The DreamBooth loop (Ruiz et al. 2022, arXiv:2208.12242).

Each step follows from its number alone, what came before it lies in the weights and in the
optimiser: a training that was interrupted goes on to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import DDPMScheduler

from lensa.contract import TrainingConfig
from training_entrypoint import checkpoints
from training_entrypoint.deadline import Deadline
from training_entrypoint.loss import Data, dreambooth_loss
from training_entrypoint.optimizers import make_optimizer, set_learning_rate
from training_entrypoint.prompts import Conditioning
from training_entrypoint.report import Report
from training_entrypoint.stopping import Stopped, StopRequest
from training_entrypoint.tracking import Tracker
from training_entrypoint.trainable import Trainable


def train(
    pipeline: Any,
    trainable: Trainable,
    data: Data,
    config: TrainingConfig,
    *,
    accelerator: Accelerator,
    folder: Path,
    report: Report,
    tracker: Tracker,
    stop: StopRequest,
    deadline: Deadline,
    validate: Callable[[int], None],
) -> int:
    """Train to `config.steps`, from the newest checkpoint in `folder` if there is one.

    Returns the steps trained: fewer if the deadline comes near. Raises Stopped, with a checkpoint
    saved, if a stop was requested; ConfigError if the deadline leaves no time for a single step.
    """
    schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
    conditioning = Conditioning(pipeline, config, data.prompts)
    optimizer = make_optimizer(config, trainable)
    step = _resume(folder, config, trainable, optimizer, accelerator, report)
    optimizer = accelerator.prepare(optimizer)
    parameters = trainable.parameters()

    def save(at: int) -> None:
        state = {"optimizer": optimizer.state_dict()}
        if accelerator.scaler is not None:  # of fp16
            state["scaler"] = accelerator.scaler.state_dict()
        checkpoints.save(folder, at, config, trainable.state(), state)
        stop.step = at
        deadline.note()
        report.checkpoint(at)

    def look(at: int) -> None:
        try:
            validate(at)
        except Stopped:
            save(at)
            raise Stopped(at) from None

    if step == 0:
        look(0)  # the base model's own answer, to compare with
        deadline.check_begun("before the first step")
    report.stage("training")
    report.start_counting(step)
    group = max(1, config.steps // 100)
    losses: list[torch.Tensor] = []
    images = config.batch_size * config.gradient_accumulation
    trainable.train()
    while step < config.steps:
        if stop.requested:
            save(step)
            raise Stopped(step)
        if deadline.near():
            report.notice(
                "the time that the budget allows is nearly over: "
                f"exported at step {step} of {config.steps}"
            )
            break
        rate = set_learning_rate(optimizer, config, step)
        for part in range(config.gradient_accumulation):
            draw = step * config.gradient_accumulation + part
            with accelerator.accumulate(*trainable.modules.values()):
                with accelerator.autocast():
                    loss = dreambooth_loss(
                        pipeline.unet, schedule, data, conditioning, config, draw
                    )
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(parameters, config.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.detach())
        step += 1
        if step % group == 0 or step == config.steps:
            mean = torch.stack(losses).mean().item()  # the only wait for the device in this loop
            losses.clear()
            if mean != mean:
                raise FloatingPointError(
                    f"the loss is not a number at step {step}: lower learning_rate "
                    f"(now {config.learning_rate:g}) or use precision bf16 or fp32."
                )
            report.progress(
                step, config.steps, loss=mean, learning_rate=rate, images_per_step=images
            )
            tracker.metrics(step, {"loss": mean, "learning_rate": rate})
        if step < config.steps:
            with report.not_counting():
                if config.checkpoint_every and step % config.checkpoint_every == 0:
                    save(step)
                if config.validation_every and step % config.validation_every == 0:
                    look(step)
                    report.stage("training")
    # The export can fail too (a full disk, a killed process): what is trained is safe before it.
    save(step)
    return step


def _resume(
    folder: Path,
    config: TrainingConfig,
    trainable: Trainable,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    report: Report,
) -> int:
    found = checkpoints.newest(folder, config)
    if found is None:
        return 0
    step, path = found
    weights, state = checkpoints.load(path)
    trainable.load(weights)
    optimizer.load_state_dict(state["optimizer"])
    if accelerator.scaler is not None and "scaler" in state:
        accelerator.scaler.load_state_dict(state["scaler"])
    report.notice(f"resumed from the checkpoint at step {step}")
    return step
