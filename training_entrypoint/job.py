"""The training job from its input folders to its model folder."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from accelerate import Accelerator

from inference_entrypoint.bases import base_revision, load_base
from lensa.contract import Layout, TrainingConfig
from lensa.errors import PhotosError
from training_entrypoint import checkpoints
from training_entrypoint.class_images import class_images
from training_entrypoint.dreambooth import Data, train
from training_entrypoint.export import describe, export
from training_entrypoint.hardware import DTYPES, device, precision
from training_entrypoint.images import encode, image_files
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest
from training_entrypoint.tracking import Tracker, make_tracker
from training_entrypoint.trainable import Trainable
from training_entrypoint.validation import Validation


def run(config: TrainingConfig, layout: Layout, report: Report, stop: StopRequest) -> int:
    """Train and export one avatar; return the steps trained.

    Raises UserError for what the user has to change, Stopped if the job was asked to stop.
    """
    job = os.environ.get("TRAINING_JOB_NAME", f"lensa-{config.subject_id}")
    photos = image_files(layout.photos)
    if not photos:
        raise PhotosError(f"there are no photos in {layout.photos}.")
    chosen = precision(config)
    checkpoints.newest(layout.checkpoints, config)  # one of another training is refused up front
    tracker = make_tracker(config, job, layout.output)
    exit_code = 1
    try:
        steps = _run(config, layout, report, stop, tracker, photos, chosen, job)
        exit_code = 0
    finally:
        tracker.finish(exit_code)
    return steps


def _run(
    config: TrainingConfig,
    layout: Layout,
    report: Report,
    stop: StopRequest,
    tracker: Tracker,
    photos: list[Path],
    chosen: str,
    job: str,
) -> int:
    accelerator = Accelerator(
        mixed_precision="no" if chosen == "fp32" else chosen,
        gradient_accumulation_steps=config.gradient_accumulation,
        cpu=not torch.cuda.is_available(),
    )
    report.stage("loading", f"{config.base.name} on {device().type}, {chosen}")
    mirror = layout.channel("base")
    base = mirror if mirror.is_dir() else None
    revision = base_revision(config.base, override=base)
    pipeline = load_base(config.base, device=device(), dtype=DTYPES[chosen], override=base)
    prior = None
    pipeline.vae.to(torch.float32)  # half precision loses the darkest tones in the encoder
    if config.prior_preservation:
        files = class_images(pipeline, config, layout, report, stop)
        prior = encode(pipeline.vae, files, config.resolution)
    instance = encode(pipeline.vae, photos, config.resolution, flip=config.flip)
    trainable = Trainable(pipeline, config, DTYPES[chosen])
    validation = Validation(config, layout, report, tracker)

    def validate(step: int) -> None:
        with accelerator.autocast():
            validation.draw(pipeline, step)

    steps = train(
        pipeline,
        trainable,
        Data(instance, prior),
        config,
        accelerator=accelerator,
        folder=layout.checkpoints,
        report=report,
        tracker=tracker,
        stop=stop,
        validate=validate,
    )
    report.stage("exporting")
    manifest = describe(
        config,
        avatar=job,
        base_revision=revision,
        photos=photos,
        precision=chosen,
        steps=steps,
    )
    export(pipeline, trainable, layout, manifest, base)
    checkpoints.remove_all(layout.checkpoints)
    return steps
