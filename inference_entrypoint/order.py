"""A request on its way into images: read and encoded at once, drawn a batch at a time.

What has to be drawn are `jobs`, which whoever holds the order hands to a `Drawing`, side by side
with those of others; what comes back it looks at (small faces, safety) and keeps.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from diffusers import AutoencoderTiny, DiffusionPipeline
from PIL import Image

from inference_entrypoint import face_detail
from inference_entrypoint.adapters import applied, in_use
from inference_entrypoint.conditioning import MAX_TOKENS, condition, token_count
from inference_entrypoint.drawing import Drawing, Job, OnStep, Settings, TimeUp
from inference_entrypoint.families import family_of
from inference_entrypoint.noise import generator_of
from inference_entrypoint.prompts import place_subject, place_subject_in
from inference_entrypoint.safety import SafetyChecker, checked
from inference_entrypoint.samplers import make_scheduler
from inference_entrypoint.side_by_side import mixable
from inference_entrypoint.starting_image import encode_image, read_image
from lensa.contract import BASES, Concept, GenerationRequest
from lensa.errors import ConfigError, LensaError


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
    partial: bool = False  # the time was up: images are missing


@dataclass(frozen=True)
class _Drawn:
    image: Image.Image
    unsafe: bool = False
    redrawn: bool = False  # from the seed beside the request's


class Order:
    """A request that is read and encoded."""

    def __init__(
        self,
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
        tiny_decoder: AutoencoderTiny | None = None,
        indices: Sequence[int] | None = None,
        make_ready: Callable[[], object] = lambda: None,
    ) -> None:
        """`indices`: the images to draw; None: those of the request. `make_ready` is called before
        each batch: what it puts into the pipeline may have been dropped for others meanwhile.

        The rest is as `generate` has it, and it raises what `generate` raises before it draws.
        Gradients have to be off, and the networks evaluating.
        """
        family = family_of(pipeline)
        self.pipeline, self.make_ready = pipeline, make_ready
        self.request = request = _filled(request, family.image_size(pipeline))
        assert request.seed is not None and request.width and request.height
        assert request.steps is not None and request.guidance_scale is not None
        assert request.scheduler is not None and request.guided is not None
        if indices is None:
            indices = range(request.index, request.index + request.count)
        size = (request.width, request.height)
        if request.face_detail:
            face_detail.check()  # now, not when the images are there to be lost
        start = None if request.image is None else read_image(request.image, *size)
        self._checker = checker
        self._drawn: dict[int, _Drawn] = {}
        self.notes: list[str] = []
        with _using(pipeline, request, adapters) as (used, notes):
            self.prompts, warnings = _final_prompts(
                pipeline, request, subject, class_noun, others, style, expander, indices
            )
            # Guidance that is off needs no negative prompt, and halves the work.
            negative = None
            if request.guidance_scale > 1:
                negative = place_subject_in(request.negative_prompt, subject, class_noun, others)
            texts = {t: condition(pipeline, t, negative) for t in dict.fromkeys(self.prompts)}
        self._warnings = [*notes, *warnings]
        latents = None if start is None else encode_image(pipeline, start)
        self.jobs = [
            Job(texts[prompt], request.seed, index, start=latents, adapters=used)
            for prompt, index in zip(self.prompts, indices, strict=True)
        ]
        self.settings = Settings(
            size=size,
            scheduler=request.scheduler,
            steps=request.steps,
            guided=request.guided,
            guidance_scale=request.guidance_scale,
            strength=1.0 if start is None else request.strength,
            tiny_decoder=tiny_decoder,
        )
        self.waiting = list(range(len(self.jobs)))  # positions in `jobs` that are yet to be drawn
        self.adapters = frozenset(used)
        # A DoRA scales what others add, a convolution's LoRA has no place side by side: whoever
        # uses one shares a batch with those alone who use just the same.
        apart = () if mixable(pipeline, list(used)) else used.items()
        self.alike: Hashable = (  # orders of which this is equal may share a batch
            self.settings,
            start is None,
            request.few_step,
            frozenset(apart),
        )

    def keep(
        self,
        positions: Sequence[int],
        images: Sequence[Image.Image],
        drawing: Drawing,
        on_step: OnStep,
    ) -> None:
        """Take images of `jobs` at these positions in, with their small faces drawn once more, and
        those that the checker flags drawn again. `on_step` may end that."""

        def finished(
            chosen: Sequence[int], drawn: Sequence[Image.Image], seed: int
        ) -> list[Image.Image]:
            if not self.request.face_detail:
                return list(drawn)
            try:
                return self._detailed(chosen, drawn, seed, drawing, on_step)
            except TimeUp:  # a favour: the images are there
                self.notes.append("face_detail: the time was up before all faces were drawn.")
                return list(drawn)

        def again(which: Sequence[int]) -> list[Image.Image]:
            chosen = [positions[i] for i in which]
            jobs = [replace(self.jobs[i], seed=self._other_seed) for i in chosen]
            try:
                others = drawing.draw(jobs, self.settings, on_step)
            except TimeUp:  # so that the first ones are blurred, and not lost
                raise LensaError("the time was up before it was drawn again.") from None
            return finished(chosen, others, self._other_seed)

        assert self.request.seed is not None
        kept = finished(positions, images, self.request.seed)
        unsafe, redrawn = [False] * len(kept), [False] * len(kept)
        if self._checker is not None:
            kept, unsafe, redrawn = checked(kept, self._checker, again)
        for position, image, bad, other in zip(positions, kept, unsafe, redrawn, strict=True):
            self._drawn[position] = _Drawn(image, bad, other)

    def result(self) -> Result:
        """Return what is drawn by now."""
        assert self.request.seed is not None
        done = sorted(self._drawn)
        drawn = [self._drawn[position] for position in done]
        told = _told([one.unsafe for one in drawn], [one.redrawn for one in drawn])
        return Result(
            images=[one.image for one in drawn],
            prompts=[self.prompts[position] for position in done],
            seeds=[self._other_seed if one.redrawn else self.request.seed for one in drawn],
            indices=[self.jobs[position].index for position in done],
            unsafe=[one.unsafe for one in drawn],
            seed=self.request.seed,
            scheduler=type(
                make_scheduler(self.pipeline.scheduler, self.settings.scheduler)
            ).__name__,
            request=self.request,
            warnings=list(dict.fromkeys([*self._warnings, *self.notes, *told])),
            partial=len(done) < len(self.jobs),
        )

    @property
    def looks_again(self) -> bool:
        """Whether its images may be drawn once more, in whole or in part."""
        return self.request.face_detail or self._checker is not None

    @property
    def drawn(self) -> int:
        """How many images are there."""
        return len(self._drawn)

    @property
    def _other_seed(self) -> int:
        assert self.request.seed is not None
        return (self.request.seed + 1) % 2**32

    def _detailed(
        self,
        positions: Sequence[int],
        images: Sequence[Image.Image],
        seed: int,
        drawing: Drawing,
        on_step: OnStep,
    ) -> list[Image.Image]:
        """Return the images with their small faces drawn once more, at the base's own size."""
        size = family_of(self.pipeline).image_size(self.pipeline)
        settings = replace(self.settings, size=size, strength=face_detail.STRENGTH)

        def redraw(crops: list[Image.Image], which: list[int]) -> list[Image.Image]:
            jobs = [
                replace(
                    self.jobs[positions[i]],
                    seed=seed,
                    purpose="face",
                    start=encode_image(self.pipeline, crop),
                )
                for crop, i in zip(crops, which, strict=True)
            ]
            return drawing.draw(jobs, settings, on_step)

        return face_detail.detail(images, redraw, size, face_detail.find_faces)[0]


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
) -> Iterator[tuple[Mapping[str, float], list[str]]]:
    """Use these adapters, or those that are in use, at the request's scale; yields which, and what
    the user should know about that."""
    notes = []
    if adapters is None:
        adapters = dict.fromkeys(in_use(pipeline), request.adapter_scale)
        if not adapters and request.adapter_scale != 1:
            notes = ["adapter_scale: has no effect, the subject is in this model's own weights."]
    with applied(pipeline, adapters):
        yield adapters, notes


def _final_prompts(
    pipeline: DiffusionPipeline,
    request: GenerationRequest,
    subject: str,
    class_noun: str,
    others: Sequence[Concept],
    style: bool,
    expander: Expander | None,
    indices: Sequence[int],
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
