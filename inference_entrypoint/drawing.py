"""Latents and pictures in batches, whose size and company leave no mark on any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from PIL import Image
from torch import Tensor

from inference_entrypoint.conditioning import Conditioning
from inference_entrypoint.families import family_of
from inference_entrypoint.noise import generator_of, starting_noise
from inference_entrypoint.samplers import make_scheduler
from inference_entrypoint.side_by_side import Adapters, side_by_side
from inference_entrypoint.tiny_decoder import decoding_with
from lensa.contract.generation import Scheduler
from lensa.errors import LensaError

OnStep = Callable[[int, int], None]  # (steps done, of): over all batches


class TimeUp(Exception):
    """Raised by `on_step`: what is drawn by now is the answer."""


@dataclass(frozen=True)
class Job:
    """One image to draw: its text, where its randomness comes from, and what it is drawn by."""

    conditioning: Conditioning
    seed: int
    index: int
    purpose: str = "image"
    start: Tensor | None = None  # latents [C, rows, columns] to begin with
    adapters: Adapters | None = None  # None: whatever is in use in the pipeline


@dataclass(frozen=True)
class Settings:
    """What images of one batch have in common."""

    size: tuple[int, int]  # (width, height) in pixels
    scheduler: Scheduler
    steps: int
    guided: float
    guidance_scale: float
    strength: float = 1.0  # how much of what a job begins with is drawn anew
    tiny_decoder: AutoencoderTiny | None = None  # in the VAE's place


@dataclass
class Drawing:
    """Jobs into images, a batch at a time."""

    pipeline: DiffusionPipeline
    batch_size: int
    notes: list[str] = field(default_factory=list)

    def draw(
        self, jobs: Sequence[Job], settings: Settings, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        """Return an image a job.

        Raises LensaError if the model yields numbers that are no picture, torch.OutOfMemoryError
        if not even one image at a time fits into the GPU.
        """
        found: dict[int, Image.Image] = {}
        waiting = self._batches(jobs)
        done = 0
        while waiting:
            batch = waiting.pop(0)
            progress = _progress(on_step, done, done + 1 + len(waiting))
            try:
                images = self._draw_batch([jobs[i] for i in batch], settings, progress)
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                torch.cuda.empty_cache()
                self.batch_size = len(batch) // 2
                self.notes.append(
                    f"batch: the GPU's memory does not hold {len(batch)} images at a time; drawn "
                    f"by {self.batch_size}."
                )
                left = sorted(i for rest in (batch, *waiting) for i in rest)
                waiting = self._batches(jobs, left)
                continue
            found.update(zip(batch, images, strict=True))
            done += 1
        return [found[i] for i in range(len(jobs))]

    def _batches(self, jobs: Sequence[Job], chosen: Sequence[int] | None = None) -> list[list[int]]:
        """Group jobs whose texts are equally long: padding one for its neighbour's sake would
        change its picture."""
        by_length: dict[int, list[int]] = {}
        for i in range(len(jobs)) if chosen is None else chosen:
            by_length.setdefault(len(jobs[i].conditioning.prompt), []).append(i)
        return [
            group[start : start + self.batch_size]
            for group in by_length.values()
            for start in range(0, len(group), self.batch_size)
        ]

    def _draw_batch(
        self, jobs: Sequence[Job], settings: Settings, on_step: OnStep | None
    ) -> list[Image.Image]:
        family, pipeline = family_of(self.pipeline), self.pipeline
        shape = family.latent_shape(pipeline, *settings.size)
        generators = [generator_of(job.seed, job.index, job.purpose) for job in jobs]
        starts = [job.start for job in jobs if job.start is not None]
        negatives = [job.conditioning.negative for job in jobs]
        rows = [job.adapters for job in jobs if job.adapters is not None]
        with side_by_side(pipeline, rows) if rows else nullcontext():
            latents = family.denoise(
                pipeline,
                scheduler=make_scheduler(pipeline.scheduler, settings.scheduler),
                prompts=torch.stack([job.conditioning.prompt for job in jobs]),
                negatives=None
                if any(negative is None for negative in negatives)
                else torch.stack([negative for negative in negatives if negative is not None]),
                noise=torch.stack([starting_noise(source, shape) for source in generators]),
                start=torch.stack(starts) if starts else None,
                strength=settings.strength,
                generators=generators,
                steps=settings.steps,
                guided=settings.guided,
                guidance_scale=settings.guidance_scale,
                on_step=on_step,
            )
        decoder = settings.tiny_decoder
        with decoding_with(pipeline, decoder) if decoder is not None else nullcontext():
            return to_images(family.decode(pipeline, latents))


def _progress(on_step: OnStep | None, done: int, batches: int) -> OnStep | None:
    """Count the steps of one batch after the other as one line of steps."""
    if on_step is None:
        return None
    return lambda step, of: on_step(done * of + step, batches * of)


def to_images(decoded: Tensor) -> list[Image.Image]:
    """Turn [n, 3, height, width] in [-1, 1] into RGB images; LensaError if it holds no numbers."""
    if not torch.isfinite(decoded).all():
        raise LensaError(
            "The model yielded NaN instead of a picture. In half precision: use bf16 or fp32. "
            "Otherwise the avatar was trained with too high a learning rate."
        )
    scaled = (decoded.float() / 2 + 0.5).clamp(0, 1) * 255
    array = scaled.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(image) for image in array]
