"""What an endpoint is asked for, and what it answers."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.bases import BaseModelRef
from lensa.contract.emphasis import fragments
from lensa.contract.names import JOB

ImageFormat = Literal["png", "jpeg", "webp"]
Scheduler = Literal["default", "ddim", "ddim-trailing", "dpm++", "dpm++-karras", "euler", "lcm"]
FewStep = Literal["lcm", "hyper-4", "hyper-8"]
Quality = Literal["draft", "standard", "best"]

MAX_SIDE = 2048  # pixels

Side = Annotated[int, Field(ge=16, le=MAX_SIDE, multiple_of=8)]
Share = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(ge=0, le=2)]
AvatarName = Annotated[str, Field(pattern=rf"^{JOB.pattern}$")]

STRENGTH = 0.6
MAX_LCM_STEPS = 50  # it was distilled from as many
MAX_ANSWER = 6_000_000  # bytes, which is what a real-time endpoint sends
MAX_IMAGE = 8_000_000  # characters of base64: 6 MB, which is what an endpoint takes


@dataclass(frozen=True)
class Sampling:
    """What a quality stands for."""

    steps: float  # times the base's own
    scheduler: Scheduler
    guided: float  # share of the steps, the first ones


# Late steps draw texture, where guidance changes little and costs as much as the rest of the step
# (Kynkaanniemi et al. 2024, arXiv:2404.07724). Measured in benchmarks/inference.py.
QUALITIES: dict[Quality, Sampling] = {
    "draft": Sampling(0.5, "dpm++-karras", 0.5),
    "standard": Sampling(1.0, "dpm++-karras", 0.6),
    "best": Sampling(2.0, "dpm++-karras", 1.0),
}

# What a LoRA for few steps was trained for: how many, and the solver. None of them wants guidance.
FEW_STEPS: dict[FewStep, tuple[int, Scheduler]] = {
    "lcm": (4, "lcm"),
    "hyper-4": (4, "ddim-trailing"),
    "hyper-8": (8, "ddim-trailing"),
}


class GenerationRequest(Contract):
    """Images of one subject for one prompt.

    `{subject}` in the prompt stands for the trained subject, as do "me" and the subject's name; a
    prompt that does not name it gets it in front. `(word:1.3)` counts more, `(word:0.7)` less.
    The starting noise of image i depends on (`seed`, i) alone.
    """

    title: ClassVar[str] = "generation"

    prompt: Annotated[str, Field(max_length=10_000)]
    negative_prompt: Annotated[str, Field(max_length=10_000)] = ""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    index: Annotated[int, Field(ge=0, lt=2**31)] = 0  # the i of the first image
    width: Side | None = None  # None: the base model's own
    height: Side | None = None
    quality: Quality = "standard"  # a point between speed and quality: what follows, as one word
    few_step: FewStep | None = None  # in the quality's place: a LoRA that needs 4 steps, or 8
    tiny_decoder: bool = False  # a preview's quality, for a small part of the decoder's work
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    scheduler: Scheduler | None = None
    guided: Share | None = None  # of the steps, the first ones, that are guided
    guidance_scale: Annotated[float, Field(ge=1, le=50)] | None = None  # None: the base's; 1: off
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None  # None: drawn, and told in the answer
    expand: bool = False  # let the prompt expander go on writing
    avatar: AvatarName | None = None  # None: the endpoint's own, or its first
    adapter_scale: Scale = 1.0
    blend: Annotated[dict[AvatarName, Scale], Field(max_length=4, default_factory=dict)]  # others
    subject: bool = True  # False: ask the class alone, without the subject's token
    image: Annotated[str, Field(max_length=MAX_IMAGE)] | None = None  # base64: begin with it
    strength: Annotated[float, Field(gt=0, le=1)] = STRENGTH  # how much of `image` is drawn anew
    face_detail: bool = False  # draw small faces once more, at full size
    safety: bool | None = None  # None: for a person, if the base has a checker
    format: ImageFormat = "png"

    def check(self) -> None:
        if self.avatar is not None and self.avatar in self.blend:
            raise ValueError(f"blend mixes {self.avatar} into itself: name other avatars.")
        if self.index + self.count > 2**31:
            raise ValueError(f"index = {self.index} leaves no room for {self.count} images.")
        if self.scheduler == "lcm" and (self.steps or 0) > MAX_LCM_STEPS:
            raise ValueError(f"steps = {self.steps}: lcm takes {MAX_LCM_STEPS} at most.")
        if self.image is None and self.strength != STRENGTH:
            raise ValueError("strength is given without an image to begin with.")
        if self.tiny_decoder and (self.image is not None or self.face_detail):
            raise ValueError(
                "tiny_decoder only decodes: it cannot begin with an image, nor draw faces anew."
            )
        fragments(self.prompt)
        fragments(self.negative_prompt, field="negative_prompt")

    def suited_to(self, base: BaseModelRef) -> GenerationRequest:
        """Return the request with what its quality and its base choose where it names nothing."""
        chosen = QUALITIES[self.quality]
        own = {
            "steps": max(1, round(base.sampling_steps * chosen.steps)),
            "scheduler": chosen.scheduler,
            "guided": chosen.guided,
            "guidance_scale": base.guidance_scale,
        }
        if self.few_step is not None:
            steps, scheduler = FEW_STEPS[self.few_step]
            own = {"steps": steps, "scheduler": scheduler, "guided": 0.0, "guidance_scale": 1.0}
        named = {name: getattr(self, name) for name in own}
        filled = {name: own[name] if value is None else value for name, value in named.items()}
        if filled["scheduler"] == "lcm":
            filled["steps"] = min(filled["steps"], MAX_LCM_STEPS)
        return self.model_copy(update=filled)


class GeneratedImage(Contract):
    """One encoded image with what it takes to make it again."""

    title: ClassVar[str] = "image"

    data: str  # base64
    format: ImageFormat
    prompt: str  # as the text encoder saw it: subject filled in, expanded
    seed: int
    index: int  # the i of (seed, i)
    unsafe: bool = False  # the safety checker saw something: the image is blurred

    def content(self) -> bytes:
        """The encoded file."""
        return base64.b64decode(self.data)


class GenerationResponse(Contract):
    """The answer to a GenerationRequest."""

    title: ClassVar[str] = "answer"

    avatar: str
    request: GenerationRequest  # with every default and the seed filled in
    images: tuple[GeneratedImage, ...]
    warnings: tuple[str, ...] = ()
    partial: bool = False  # the time was up: those of the first indices are here, ask for the rest
    seconds: float
