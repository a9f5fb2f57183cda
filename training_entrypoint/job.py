"""The training job from its input folders to its model folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from inference_entrypoint.bases import base_revision, load_base
from lensa.contract import Layout, TrainingConfig
from lensa.errors import PhotosError
from training_entrypoint import checkpoints
from training_entrypoint.attempts import Model, learn
from training_entrypoint.class_images import class_images
from training_entrypoint.deadline import Deadline
from training_entrypoint.decisions import forget
from training_entrypoint.export import describe, export
from training_entrypoint.hardware import DTYPES, device, precision
from training_entrypoint.images import encode, has_mask, image_files
from training_entrypoint.loss import Data
from training_entrypoint.report import Report
from training_entrypoint.stopping import Stopped, StopRequest
from training_entrypoint.tracking import Tracker, make_tracker
from training_entrypoint.validation import Validation


def job_id(config: TrainingConfig) -> str:
    return os.environ.get("TRAINING_JOB_NAME", f"lensa-{config.subject_id}")


def on_platform() -> bool:
    """Whether SageMaker runs this, and syncs the checkpoints."""
    return "TRAINING_JOB_ARN" in os.environ


def run(
    config: TrainingConfig,
    layout: Layout,
    report: Report,
    stop: StopRequest,
    deadline: Deadline,
) -> int:
    """Train and export one avatar; return the steps trained.

    Raises UserError for what the user has to change, Stopped if the job was asked to stop.
    """
    photos = image_files(layout.photos)
    if not photos:
        raise PhotosError(f"there are no photos in {layout.photos}.")
    if config.masked_loss and not any(has_mask(photo) for photo in photos):
        raise PhotosError(
            "masked_loss is on, but none of the photos has a mask, which is an alpha channel. "
            "Let lensa train prepare them, or leave masked_loss off."
        )
    chosen = precision(config)
    found = checkpoints.newest(layout.checkpoints, config)  # another training's is refused up front
    stop.step = found[0] if found else 0
    stop.check()
    tracker = make_tracker(config, job_id(config), layout.output)
    exit_code = 1
    try:
        steps = _run(config, layout, report, stop, deadline, tracker, photos, chosen)
        exit_code = 0
    except Stopped:
        deadline.note()
        raise
    finally:
        tracker.finish(exit_code)
    return steps


def _run(
    config: TrainingConfig,
    layout: Layout,
    report: Report,
    stop: StopRequest,
    deadline: Deadline,
    tracker: Tracker,
    photos: list[Path],
    chosen: str,
) -> int:
    accelerator = Accelerator(
        mixed_precision="no" if chosen == "fp32" else chosen, cpu=not torch.cuda.is_available()
    )
    report.stage("loading", f"{config.base.name} on {device().type}, {chosen}")
    base = layout.base if layout.base.is_dir() else None

    def load() -> Any:
        with stop.at_once(), deadline.measuring("loading"):
            return load_base(config.base, device=device(), dtype=DTYPES[chosen], override=base)

    with stop.at_once():
        revision = base_revision(config.base, override=base)
    model = Model(load)
    prior = None
    vae = model.pipeline.vae.to(torch.float32)  # half precision loses the darkest tones
    if config.prior_preservation:
        files = class_images(model.pipeline, config, layout, report, stop, deadline)
        prior = encode(vae, files, config.resolution, check=stop.check)
    instance = encode(
        vae,
        photos,
        config.resolution,
        crops=config.crops,
        seed=config.seed,
        flip=config.flip,
        masked=config.masked_loss,
        check=stop.check,
    )
    del vae  # of a base that may be loaded anew
    trainable, steps = learn(
        model,
        Data(instance, prior),
        config,
        chosen,
        accelerator=accelerator,
        folder=layout.checkpoints,
        report=report,
        tracker=tracker,
        stop=stop,
        deadline=deadline,
        validation=Validation(config, layout, report, tracker, stop, deadline),
    )
    report.stage("exporting")
    manifest = describe(
        config,
        avatar=job_id(config),
        base_revision=revision,
        photos=photos,
        precision=chosen,
        steps=steps,
    )
    export(model.take(), trainable, layout, manifest, base, stop)
    if not on_platform():
        checkpoints.remove_all(layout.checkpoints)
        forget(layout.checkpoints)
    # Else SageMaker would delete them from S3 with the model not uploaded yet, and an upload that
    # fails would cost the whole training. The bucket's lifecycle takes them.
    return steps
