"""Images of the class alone, for prior preservation: the user's own, or drawn by the base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference_entrypoint.generate import generate
from lensa.contract import GenerationRequest, Layout, TrainingConfig
from training_entrypoint.images import image_files
from training_entrypoint.report import Report
from training_entrypoint.stopping import Stopped, StopRequest

_BATCH = 4


def class_images(
    pipeline: Any, config: TrainingConfig, layout: Layout, report: Report, stop: StopRequest
) -> list[Path]:
    """Return the class images' files; draw those that are missing.

    Drawn ones lie in the checkpoint folder, so that a resumed job does not draw them again. Must
    be called before anything is added to the pipeline: they show what the base model knows.
    """
    own = image_files(layout.class_images)
    if own:
        if len(own) < config.class_images:
            report.notice(f"{len(own)} class images of your own are used; none are generated.")
        return own[: config.class_images]
    folder = layout.checkpoints / "class_images"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{index:04d}.png" for index in range(config.class_images)]
    if all(file.exists() for file in files):
        return files
    report.stage("class_images", f"{len(files)} class images")
    report.start_counting(0)
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        if not all(file.exists() for file in batch):
            _draw(pipeline, config, batch, seed=config.seed + start)
        report.progress(start + len(batch), len(files), stage="class_images")
        if stop.requested:
            raise Stopped(0)
    return files


def _draw(pipeline: Any, config: TrainingConfig, files: list[Path], seed: int) -> None:
    request = GenerationRequest(
        prompt=config.fill(config.class_prompt),
        subject=False,
        count=len(files),
        width=config.resolution,
        height=config.resolution,
        steps=config.class_image_steps,
        guidance_scale=config.class_image_guidance,
        seed=seed % 2**32,
    )
    result = generate(pipeline, request, subject=config.subject, class_noun=config.class_noun)
    for file, image in zip(files, result.images, strict=True):
        partial = file.with_suffix(".partial")
        image.save(partial, format="PNG")
        partial.rename(file)  # a file that is there is whole
