"""What an endpoint is asked for, and what it answers."""

from __future__ import annotations

import base64
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.bases import BaseModelRef

ImageFormat = Literal["png", "jpeg", "webp"]
Scheduler = Literal["default", "ddim", "dpm++", "euler"]

Side = Annotated[int, Field(ge=16, le=2048, multiple_of=8)]


class GenerationRequest(Contract):
    """Images of one subject for one prompt.

    `{subject}` in the prompt stands for the trained subject; a prompt that does not name it gets
    it in front. The starting noise of image i depends on (`seed`, i) alone.
    """

    title: ClassVar[str] = "generation"

    prompt: Annotated[str, Field(max_length=10_000)]
    negative_prompt: Annotated[str, Field(max_length=10_000)] = ""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    width: Side | None = None  # None: the base model's own
    height: Side | None = None
    steps: Annotated[int, Field(ge=1, le=200)] | None = None  # None: the base model's own
    guidance_scale: Annotated[float, Field(ge=1, le=50)] | None = None  # likewise; 1: no guidance
    scheduler: Scheduler = "default"
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None  # None: drawn, and told in the answer
    expand: bool = False  # let the prompt expander go on writing
    adapter_scale: Annotated[float, Field(ge=0, le=2)] = 1.0
    subject: bool = True  # False: ask the class alone, without the subject's token
    format: ImageFormat = "png"

    def suited_to(self, base: BaseModelRef) -> GenerationRequest:
        """Return the request with the base's own steps and guidance where it names none."""
        own = {"steps": base.sampling_steps, "guidance_scale": base.guidance_scale}
        given = {name: getattr(self, name) for name in own}
        chosen = {name: own[name] if value is None else value for name, value in given.items()}
        return self.model_copy(update=chosen)


class GeneratedImage(Contract):
    """One encoded image with what it takes to make it again."""

    title: ClassVar[str] = "image"

    data: str  # base64
    format: ImageFormat
    prompt: str  # as the text encoder saw it: subject filled in, expanded
    seed: int
    index: int  # the i of (seed, i)

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
    seconds: float
