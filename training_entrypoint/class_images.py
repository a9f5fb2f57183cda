"""Images of the class alone, for prior preservation: the user's own, other jobs', or drawn by the
base model.

Image i depends on (seed, i), never on how many are asked for: they are drawn in batches of a fixed
size, of which the last may be drawn for less than all of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from inference_entrypoint.generate import generate
from lensa.contract import GenerationRequest, Layout, TrainingConfig
from lensa.contract.layout import concept_folder
from training_entrypoint import class_cache
from training_entrypoint.deadline import Deadline
from training_entrypoint.images import image_files
from training_entrypoint.report import Report
from training_entrypoint.stopping import StopRequest

_BATCH = 4  # part of lensa.contract.class_cache's FORMAT


def class_images(
    pipeline: Any,
    config: TrainingConfig,
    layout: Layout,
    report: Report,
    stop: StopRequest,
    deadline: Deadline,
    number: int = 1,
    *,
    revision: str = "",
) -> list[Path]:
    """Return the files of the class images of concept `number`; draw those that are missing.

    `revision` is of all that they are drawn with: the base, and the VAE in its place.

    They lie in the checkpoint folder, so that a resumed job has the same ones again. Must be called
    before anything is added to the pipeline: they show what the base model knows.
    """
    config = config.alone(number)
    own = image_files(layout.class_images_of(number))
    if own:
        if len(own) < config.class_images:
            report.notice(
                f"{len(own)} class images of your own are used for {config.class_noun}; none are "
                "generated."
            )
        return own[: config.class_images]
    folder = layout.checkpoints / "class_images" / concept_folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{index:04d}.png" for index in range(config.class_images)]
    _drop_damaged(files, config.resolution, report)
    if all(file.exists() for file in files):
        return files
    taken = class_cache.take(layout.class_cache_of(number), files, config.resolution, report)
    here = class_cache.folder_here(config, revision)
    if here is not None:
        taken += class_cache.take(here, files, config.resolution, report)
    if taken:
        report.notice(f"{taken} of {len(files)} class images come from the cache.")
    if not all(file.exists() for file in files):
        _draw_missing(pipeline, config, files, report, stop, deadline)
        if here is not None:
            class_cache.keep(files, here, config.resolution, report)
            return files
        cached = {path.name for path in image_files(layout.class_cache_of(number))}
        new = [file for file in files if file.name not in cached]
        class_cache.leave(new, report, stop, number=number)
    return files


def _drop_damaged(files: list[Path], size: int, report: Report) -> None:
    """Remove what an interruption has left of a file, or another hand: it is drawn again."""
    damaged = [file for file in files if file.exists() and not class_cache.whole(file, size)]
    for file in damaged:
        file.unlink()
    if damaged:
        report.notice(
            f"{len(damaged)} class images are damaged ({damaged[0].name} first): they are drawn "
            "again."
        )


def _draw_missing(
    pipeline: Any,
    config: TrainingConfig,
    files: list[Path],
    report: Report,
    stop: StopRequest,
    deadline: Deadline,
) -> None:
    report.stage("class_images", f"{len(files)} class images")
    report.start_counting(sum(file.exists() for file in files))
    for start in range(0, len(files), _BATCH):
        stop.check()
        deadline.check_begun("before all class images are drawn")
        batch = files[start : start + _BATCH]
        if all(file.exists() for file in batch):
            continue
        images = _draw(pipeline, config, start, stop)
        for file, image in zip(batch, images, strict=False):  # the last batch may be short
            if not file.exists():
                partial = file.with_suffix(".partial")
                image.save(partial, format="PNG")
                partial.rename(file)  # a file that is there is whole
        done = sum(file.exists() for file in files)
        report.progress(done, len(files), stage="class_images")


def _draw(
    pipeline: Any, config: TrainingConfig, start: int, stop: StopRequest
) -> list[Image.Image]:
    """Return images `start` to `start + _BATCH`."""
    request = GenerationRequest(
        prompt=config.fill(config.class_prompt),
        subject=False,
        count=_BATCH,
        width=config.resolution,
        height=config.resolution,
        steps=config.class_image_steps,
        guidance_scale=config.class_image_guidance,
        seed=(config.seed + start) % 2**32,
    )
    return generate(
        pipeline,
        request,
        subject=config.subject,
        class_noun=config.class_noun,
        batch_size=_BATCH,
        on_step=stop.check,
    ).images
