"""`generate`: a GenerationRequest into images. Validation while training, class images and every
endpoint go through here, so that what you saw is what you get.

The starting noise of image i depends on (seed, i) alone, each prompt is encoded by itself, and no
global state is read or left changed: the same request on the same machine gives the same bytes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from diffusers import DiffusionPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from PIL import Image
from torch import Tensor, nn

from inference_entrypoint.families import Family, family_of
from inference_entrypoint.noise import generator_of, starting_noise
from inference_entrypoint.prompts import place_subject
from inference_entrypoint.samplers import make_scheduler
from lensa.contract import GenerationRequest
from lensa.contract.bases import GUIDANCE_SCALE, SAMPLING_STEPS
from lensa.errors import ConfigError, LensaError

OnStep = Callable[[int, int], None]  # (steps done, of): over all batches


class Expander(Protocol):
    """A language model that goes on writing prompts."""

    def expand(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]: ...


@dataclass
class Result:
    """Images, and what it takes to make each again: `seed` and its index."""

    images: list[Image.Image]
    prompts: list[str]  # as the text encoder saw them
    indices: list[int]  # the i of (seed, i)
    seed: int
    scheduler: str  # the class that "default" became
    request: GenerationRequest  # with every default filled in
    warnings: list[str] = field(default_factory=list)


def generate(
    pipeline: DiffusionPipeline,
    request: GenerationRequest,
    *,
    subject: str,
    class_noun: str,
    expander: Expander | None = None,
    batch_size: int = 4,
    indices: Sequence[int] | None = None,
    on_step: OnStep | None = None,
) -> Result:
    """Return `request.count` images, or only those of `indices`.

    A request that names no steps or guidance gets SD 1.x's, unless it was `suited_to` its base.

    Adapters inside the pipeline, trained or in training, are used at `request.adapter_scale`;
    modes (train or eval), scales, schedulers and random states are afterwards as they were.

    Raises ConfigError if expansion is asked for and there is no expander, LensaError if the model
    yields numbers that are no picture.
    """
    family = family_of(pipeline)
    request = _filled(request, family.image_size(pipeline))
    indices = list(range(request.count)) if indices is None else list(indices)
    assert request.seed is not None and request.width and request.height
    assert request.steps is not None and request.guidance_scale is not None
    with torch.no_grad(), _evaluating(family.parts(pipeline)), _scaled(pipeline, request) as notes:
        prompts, warnings = _final_prompts(
            pipeline, request, subject, class_noun, expander, indices
        )
        encoded = {p: family.encode_prompts(pipeline, [p]) for p in dict.fromkeys(prompts)}
        negative = None
        if request.guidance_scale > 1:
            negative = family.encode_prompts(pipeline, [request.negative_prompt])
            warnings += _cut(family, pipeline, request.negative_prompt, "negative_prompt")
        shape = family.latent_shape(pipeline, request.width, request.height)
        progress = _Progress(on_step, -(-len(indices) // batch_size))
        images: list[Image.Image] = []
        for start in range(0, len(indices), batch_size):
            chosen = slice(start, start + batch_size)
            generators = [generator_of(request.seed, index) for index in indices[chosen]]
            latents = family.denoise(
                pipeline,
                scheduler=make_scheduler(pipeline.scheduler, request.scheduler),
                prompts=torch.cat([encoded[prompt] for prompt in prompts[chosen]]),
                negatives=None if negative is None else negative.expand(len(generators), -1, -1),
                noise=torch.stack([starting_noise(source, shape) for source in generators]),
                generators=generators,
                steps=request.steps,
                guidance_scale=request.guidance_scale,
                on_step=progress,
            )
            images += to_images(family.decode(pipeline, latents))
            progress.next_batch()
    return Result(
        images=images,
        prompts=prompts,
        indices=indices,
        seed=request.seed,
        scheduler=type(make_scheduler(pipeline.scheduler, request.scheduler)).__name__,
        request=request,
        warnings=list(dict.fromkeys(notes + warnings)),
    )


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


def _filled(request: GenerationRequest, size: tuple[int, int]) -> GenerationRequest:
    return request.model_copy(
        update={
            "seed": secrets.randbelow(2**32) if request.seed is None else request.seed,
            "width": request.width or size[0],
            "height": request.height or size[1],
            "steps": request.steps or SAMPLING_STEPS,
            "guidance_scale": request.guidance_scale or GUIDANCE_SCALE,
        }
    )


def _final_prompts(
    pipeline: DiffusionPipeline,
    request: GenerationRequest,
    subject: str,
    class_noun: str,
    expander: Expander | None,
    indices: Sequence[int],
) -> tuple[list[str], list[str]]:
    """Return one prompt an image, and what the user should know about them."""
    family = family_of(pipeline)
    prompt = place_subject(
        request.prompt, subject=subject, class_noun=class_noun, named=request.subject
    )
    warnings = _cut(family, pipeline, prompt, "prompt")
    if not request.expand:
        return [prompt] * len(indices), warnings
    if expander is None:
        raise ConfigError("generation: expand is true, but this base has no prompt expander.")
    assert request.seed is not None
    # As the noise does, the continuation of image i depends on (seed, i).
    seeds = [generator_of(request.seed, index).initial_seed() for index in indices]
    written = expander.expand([prompt] * len(indices), seeds)
    return [_fitting(family, pipeline, prompt, text) for text in written], warnings


def _fitting(family: Family, pipeline: DiffusionPipeline, prompt: str, expanded: str) -> str:
    """Drop the last phrases of an expansion until the text encoder reads all of it."""
    while len(expanded) > len(prompt):
        count, limit = family.token_count(pipeline, expanded)
        if count <= limit:
            return expanded
        expanded = expanded[: max(expanded.rfind(","), len(prompt))]
    return prompt


def _cut(family: Family, pipeline: DiffusionPipeline, prompt: str, name: str) -> list[str]:
    count, limit = family.token_count(pipeline, prompt)
    if count <= limit:
        return []
    return [
        f"{name}: its last {count - limit} of {count - 2} tokens were cut: "
        f"this base reads {limit - 2}. Shorten it, or put what matters first."
    ]


class _Progress:
    """Counts the steps of one batch after the other as one line of steps."""

    def __init__(self, on_step: OnStep | None, batches: int) -> None:
        self.on_step, self.batches, self.batch = on_step, batches, 0

    def __call__(self, step: int, of: int) -> None:
        if self.on_step is not None:
            self.on_step(self.batch * of + step, self.batches * of)

    def next_batch(self) -> None:
        self.batch += 1


@contextmanager
def _evaluating(parts: dict[str, nn.Module]) -> Iterator[None]:
    """Dropout and checkpointing off; afterwards every layer is in the mode it was in."""
    modes = {layer: layer.training for part in parts.values() for layer in part.modules()}
    for part in parts.values():
        part.eval()
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


@contextmanager
def _scaled(pipeline: DiffusionPipeline, request: GenerationRequest) -> Iterator[list[str]]:
    """Multiply the adapters by `adapter_scale`; yields what the user should know about it.

    `set_adapters` of diffusers would do it too, and change which parameters require gradients.
    """
    layers = [
        layer
        for part in family_of(pipeline).parts(pipeline).values()
        for layer in part.modules()
        if isinstance(layer, BaseTunerLayer)
    ]
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scale_layer(request.adapter_scale)
    try:
        if layers or request.adapter_scale == 1:
            yield []
        else:
            yield ["adapter_scale: has no effect, the subject is in this model's own weights."]
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            layer.scaling.update(scaling)
