"""The training job from its input folders to its model folder."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch

from inference_entrypoint.bases import base_revision, load_base
from inference_entrypoint.devices import device
from inference_entrypoint.vaes import replace_vae, vae_revision
from lensa.contract import Layout, TrainingConfig
from training_entrypoint import checkpoints, showing
from training_entrypoint.attempts import Model, learn
from training_entrypoint.class_images import class_images
from training_entrypoint.compute import counting
from training_entrypoint.deadline import Deadline
from training_entrypoint.decisions import forget
from training_entrypoint.export import describe, export
from training_entrypoint.hardware import DTYPES, machine, precision
from training_entrypoint.images import encode
from training_entrypoint.inputs import Photos, find_photos, with_class_images
from training_entrypoint.loss import Data
from training_entrypoint.prompts import Prompts
from training_entrypoint.report import Report
from training_entrypoint.stopping import Stopped, StopRequest
from training_entrypoint.tracking import Tracker, make_tracker
from training_entrypoint.validation import Validation
from training_entrypoint.words import say_words


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
    photos = find_photos(config, layout)
    chosen = precision(config)
    found = checkpoints.newest(layout.checkpoints, config)  # another training's is refused up front
    stop.step = found[0] if found else 0
    stop.check()
    tracker = make_tracker(
        config,
        job_id(config),
        layout,
        resumed=found[0] if found else None,
        say=report.notice,
    )
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
    photos: Photos,
    chosen: str,
) -> int:
    report.stage("loading", f"{config.base.name} on {device().type}, {chosen}")
    base = layout.base if layout.base.is_dir() else None

    def load() -> Any:
        with stop.at_once(), deadline.measuring("loading"):
            pipeline = load_base(config.base, device=device(), dtype=DTYPES[chosen], override=base)
            if config.vae is not None:
                replace_vae(pipeline, config.vae)
            return pipeline

    with stop.at_once():
        revision = base_revision(config.base, override=base)
        vae_commit = vae_revision(config.vae) if config.vae is not None else None
    origin = {"base": revision} | ({"VAE": vae_commit} if vae_commit is not None else {})
    checkpoints.check_origin(layout.checkpoints, origin)
    model = Model(load)
    pieces = say_words(model.pipeline, config, photos, report)
    prior, prompts = None, Prompts()
    class_files: list[Path] = []
    passes = 0
    vae = model.pipeline.vae.to(torch.float32)  # half precision loses the darkest tones
    if config.prior_preservation:
        own = with_class_images(config, layout)
        for number in sorted([*own, *config.drawn_classes(own)]):
            concept = config.every_concept[number - 1]
            with counting(model.pipeline.unet) as counted:
                drawn = class_images(
                    model.pipeline,
                    config,
                    layout,
                    report,
                    stop,
                    deadline,
                    number,
                    revision=" ".join(filter(None, (revision, vae_commit))),
                )
            passes += sum(counted)
            class_files += drawn
            row = prompts.number(concept.fill(concept.class_prompt))
            prompts.prior += [row] * len(drawn)
        prior = encode(vae, class_files, config.resolution, check=stop.check)
    instance = encode(
        vae,
        photos.files,
        config.resolution,
        crops=config.crops,
        seed=config.seed,
        flip=config.flip,
        masked=config.masked_loss,
        check=stop.check,
    )
    prompts.instance += photos.rows(prompts, len(instance) // len(photos.files))
    del vae  # of a base that may be loaded anew
    trainable, steps, choice = learn(
        model,
        Data(instance, prior, prompts),
        config,
        chosen,
        folder=layout.checkpoints,
        origin=origin,
        report=report,
        tracker=tracker,
        stop=stop,
        deadline=deadline,
        validation=Validation(
            config, layout, report, tracker, stop, deadline, class_files=class_files
        ),
        drawn=passes,
    )
    report.stage("exporting", choice.reason if choice is not None else "")
    if choice is not None and choice.warning is not None:
        report.notice(choice.warning)
    manifest = describe(
        config,
        avatar=job_id(config),
        base_revision=revision,
        photo_digests=photos.digests,
        precision=chosen,
        steps=steps,
        token_pieces=pieces,
        vae_revision=vae_commit,
        choice=choice,
    )
    export(
        model.take(),
        trainable,
        layout,
        manifest,
        base,
        stop,
        report,
        deadline,
        # There a stop, and a time that is over, are the job's end, and AWS keeps what lies in the
        # model folder. Here the same call goes on with the gallery, as long as there is no avatar.
        before_gallery=on_platform(),
        show=partial(
            showing.write,
            layout=layout,
            journal=tracker.journal,
            photos=photos.files,
            notices=report.notices,
            machine=machine(),
            say=report.notice,
        ),
    )
    tracker.finished(layout.model)
    if not on_platform():
        checkpoints.remove_all(layout.checkpoints)
        forget(layout.checkpoints)
        shutil.rmtree(layout.gallery, ignore_errors=True)
    # Else SageMaker would delete them from S3 with the model not uploaded yet, and an upload that
    # fails would cost the whole training. The bucket's lifecycle takes them.
    return steps
