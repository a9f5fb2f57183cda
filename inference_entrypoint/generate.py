"""`generate`: a GenerationRequest into images. Validation while training, class images and every
endpoint go through here, so that what you saw is what you get.

The starting noise of image i depends on (seed, i) alone, each prompt is encoded by itself, and no
global state is read or left changed: the same request on the same machine gives the same bytes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from diffusers import DiffusionPipeline
from PIL import Image

from inference_entrypoint import face_detail
from inference_entrypoint.adapters import applied, in_use
from inference_entrypoint.conditioning import MAX_TOKENS, Conditioning, condition, token_count
from inference_entrypoint.drawing import Drawing, Job, OnStep, to_images
from inference_entrypoint.families import family_of
from inference_entrypoint.modes import evaluating
from inference_entrypoint.noise import generator_of
from inference_entrypoint.prompts import place_subject, place_subject_in
from inference_entrypoint.safety import SafetyChecker, checked
from inference_entrypoint.samplers import make_scheduler
from inference_entrypoint.starting_image import encode_image, read_image
from lensa.contract import BASES, Concept, GenerationRequest
from lensa.errors import ConfigError

__all__ = ["Expander", "OnStep", "Result", "generate", "to_images"]


class Expander(Protocol):
    """A language model that goes on writing prompts."""

    def expand(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]: ...


@dataclass
class Result:
    """Images, and what it takes to make each again: its seed and its index."""

    images: list[Image.Image]
    prompts: list[str]  # as the text encoder saw them
    seeds: list[int]  # the request's, or the one beside it where the first try was unsafe
    indices: list[int]  # the i of (seed, i)
    unsafe: list[bool]  # the image is blurred
    seed: int  # the request's
    scheduler: str  # the class that "default" became
    request: GenerationRequest  # with every default filled in
    warnings: list[str] = field(default_factory=list)


def generate(
    pipeline: DiffusionPipeline,
    request: GenerationRequest,
    *,
    subject: str,
    class_noun: str,
    others: Sequence[Concept] = (),
    style: bool = False,
    expander: Expander | None = None,
    checker: SafetyChecker | None = None,
    adapters: Mapping[str, float] | None = None,
    batch_size: int = 4,
    indices: Sequence[int] | None = None,
    on_step: OnStep | None = None,
) -> Result:
    """Return `request.count` images, or only those of `indices`.

    `others` is what the avatar learned beside the subject, and `style` whether that is a manner of
    drawing: see place_subject.

    A request that was not `suited_to` its base gets what suits SD 1.x.

    `adapters` are those to use, by name, each with its scale; None: whatever is inside the
    pipeline, trained or in training, at `request.adapter_scale`. Modes (train or eval), scales,
    schedulers and random states are afterwards as they were.

    Raises ConfigError for what the request has to change, LensaError if the model yields numbers
    that are no picture, torch.OutOfMemoryError if a single image does not fit into the GPU.
    """
    family = family_of(pipeline)
    request = _filled(request, family.image_size(pipeline))
    assert request.seed is not None and request.width and request.height
    assert request.steps is not None and request.guidance_scale is not None
    assert request.scheduler is not None and request.guided is not None
    size = (request.width, request.height)
    if indices is None:
        indices = range(request.index, request.index + request.count)
    if request.face_detail:
        face_detail.check()  # now, not when the images are there to be lost
    start = None if request.image is None else read_image(request.image, *size)
    with torch.no_grad(), evaluating(pipeline), _using(pipeline, request, adapters) as notes:
        prompts, warnings = _final_prompts(
            pipeline, request, subject, class_noun, expander, indices, others, style
        )
        # Guidance that is off needs no negative prompt, and halves the work.
        negative = None
        if request.guidance_scale > 1:
            negative = place_subject_in(request.negative_prompt, subject, class_noun, others)
        texts = {text: condition(pipeline, text, negative) for text in dict.fromkeys(prompts)}
        drawing = Drawing(
            pipeline,
            scheduler=request.scheduler,
            steps=request.steps,
            guided=request.guided,
            guidance_scale=request.guidance_scale,
            batch_size=batch_size,
            on_step=on_step,
        )
        latents = None if start is None else encode_image(pipeline, start)
        shots = [
            _Shot(texts[prompt], index) for prompt, index in zip(prompts, indices, strict=True)
        ]

        def draw(positions: Sequence[int], seed: int) -> list[Image.Image]:
            jobs = [Job(shots[i].text, seed, shots[i].index, start=latents) for i in positions]
            images = drawing.draw(jobs, size, request.strength if start is not None else 1.0)
            if not request.face_detail:
                return images
            return _detailed(drawing, images, [shots[i] for i in positions], seed)

        images = draw(range(len(shots)), request.seed)
        other_seed = (request.seed + 1) % 2**32
        unsafe, redrawn = [False] * len(images), [False] * len(images)
        if checker is not None:
            images, unsafe, redrawn = checked(
                images, checker, lambda which: draw(which, other_seed)
            )
    return Result(
        images=images,
        prompts=prompts,
        seeds=[other_seed if again else request.seed for again in redrawn],
        indices=list(indices),
        unsafe=unsafe,
        seed=request.seed,
        scheduler=type(make_scheduler(pipeline.scheduler, request.scheduler)).__name__,
        request=request,
        warnings=list(dict.fromkeys([*notes, *warnings, *drawing.notes, *_told(unsafe, redrawn)])),
    )


@dataclass(frozen=True)
class _Shot:
    text: Conditioning
    index: int


def _filled(request: GenerationRequest, size: tuple[int, int]) -> GenerationRequest:
    return request.suited_to(BASES["sd15"]).model_copy(
        update={
            "seed": secrets.randbelow(2**32) if request.seed is None else request.seed,
            "width": request.width or size[0],
            "height": request.height or size[1],
        }
    )


@contextmanager
def _using(
    pipeline: DiffusionPipeline, request: GenerationRequest, adapters: Mapping[str, float] | None
) -> Iterator[list[str]]:
    """Use these adapters, or those that are in use, at the request's scale; yields what the user
    should know about that."""
    notes = []
    if adapters is None:
        adapters = dict.fromkeys(in_use(pipeline), request.adapter_scale)
        if not adapters and request.adapter_scale != 1:
            notes = ["adapter_scale: has no effect, the subject is in this model's own weights."]
    with applied(pipeline, adapters):
        yield notes


def _final_prompts(
    pipeline: DiffusionPipeline,
    request: GenerationRequest,
    subject: str,
    class_noun: str,
    expander: Expander | None,
    indices: Sequence[int],
    others: Sequence[Concept],
    style: bool,
) -> tuple[list[str], list[str]]:
    """Return one prompt an image, and what the user should know about them."""
    placed = place_subject(
        request.prompt,
        subject=subject,
        class_noun=class_noun,
        named=request.subject,
        others=others,
        style=style,
    )
    if not request.expand:
        return [placed.prompt] * len(indices), placed.warnings
    if expander is None:
        raise ConfigError("generation: expand is true, but this base has no prompt expander.")
    assert request.seed is not None
    # As the noise does, the continuation of image i depends on (seed, i).
    seeds = [generator_of(request.seed, index).initial_seed() for index in indices]
    written = expander.expand([placed.prompt] * len(indices), seeds)
    fitting = [
        text if token_count(pipeline, text) <= MAX_TOKENS else placed.prompt for text in written
    ]
    return fitting, placed.warnings


def _detailed(
    drawing: Drawing,
    images: list[Image.Image],
    shots: Sequence[_Shot],
    seed: int,
) -> list[Image.Image]:
    """Return the images with their small faces drawn once more, at the base's own size."""
    size = family_of(drawing.pipeline).image_size(drawing.pipeline)

    def redraw(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
        jobs = [
            Job(
                shots[position].text,
                seed,
                shots[position].index,
                purpose="face",
                start=encode_image(drawing.pipeline, crop),
            )
            for crop, position in zip(crops, positions, strict=True)
        ]
        return drawing.draw(jobs, size, face_detail.STRENGTH)

    return face_detail.detail(images, redraw, size, face_detail.find_faces)[0]


def _told(unsafe: Sequence[bool], redrawn: Sequence[bool]) -> list[str]:
    notes = []
    if again := sum(one and not other for one, other in zip(redrawn, unsafe, strict=True)):
        notes.append(f"safety: {again} of {len(redrawn)} images were drawn again, another seed.")
    if sum(unsafe):
        notes.append(
            f"safety: {sum(unsafe)} of {len(unsafe)} images are blurred; the checker errs at "
            "times: safety=false shows them."
        )
    return notes
