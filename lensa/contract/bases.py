"""The base models that lensa knows by name, and how any other one is named."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.families import FAMILIES

Method = Literal["lora", "full"]

SAMPLING_STEPS, GUIDANCE_SCALE = 20, 7.5  # of Stable Diffusion 1.x (S2.25, with fewer steps)

# SD 1.x's own (Rando et al. 2022, arXiv:2210.04610, looked inside), a folder of its repository.
SAFETY_CHECKER = "stable-diffusion-v1-5/stable-diffusion-v1-5/safety_checker"

# Words that CLIP's vocabulary has as one token, late in it (their ids are 47,000 to 49,400: they
# were rare), and that mean little. Its "zwx" and "ukj", which many recipes name, are two tokens.
RARE_TOKENS = ("ohwx", "sks", "nlwx", "phol", "oue", "kts", "nmwx", "rcn", "bsf", "nrf")

# mini's own vocabulary has these, which none of its captions contains.
_MINI_TOKENS = ("ohwx", "sks", "zwx", "ukj", "zqv", "vxk")

# Says how alike two pictures are, and how well a picture fits a prompt: 600 MB, once. It is the
# revision that has safetensors: the hub's own conversion, which its main branch lacks.
EMBEDDER = "openai/clip-vit-base-patch32@c237dc49a33fc61debc9276459120b7eac67e7ef"

TOKENS_IN_NAMES = ("ohwx", "sks", "zwx", "ukj")  # see TrainingConfig.identity: never change them


class BaseModelRef(Contract):
    """A base model: where its weights are, and what has to be known before they are loaded.

    `source` says how `location` is read: a `hub` repository id, a Python `package` that carries
    the weights, `generated` by code, a local diffusers `folder`, one `.safetensors` `file`, or a
    `pickle`: a `.ckpt` file, of which the weights alone are read.
    """

    title: ClassVar[str] = "base model"

    name: str
    source: Literal["hub", "package", "generated", "folder", "file", "pickle"]
    location: str
    revision: str | None = None
    variant: str | None = None
    family: str = "stable-diffusion"
    resolution: int = Field(default=512, ge=16, le=2048)
    tokens: tuple[str, ...] = Field(default=RARE_TOKENS, min_length=1)
    # What a request gets that names no steps or guidance of its own.
    sampling_steps: int = Field(default=SAMPLING_STEPS, ge=1, le=200)
    guidance_scale: float = Field(default=GUIDANCE_SCALE, ge=1, le=50)
    # What looks for unsafe images, by its hub id or folder, or none.
    safety_checker: str | None = None
    # A prompt expander of the same kind of source, or none.
    expander: str | None = "Gustavosta/MagicPrompt-Stable-Diffusion"
    # A CLIP of the same kind of source (a hub id may have a @revision behind it), by which
    # validation images are measured, or none.
    embedder: str | None = EMBEDDER
    # What a recipe for SD 1.5 has to change for this base, by method.
    recipe: dict[Method, dict[str, Any]] = Field(default_factory=dict)


class VaeRef(Contract):
    """A VAE in the place of the base's own: a hub repository, or a local diffusers folder."""

    title: ClassVar[str] = "VAE"

    source: Literal["hub", "folder"]
    location: str = Field(min_length=1)
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.location}@{self.revision}" if self.revision else self.location


# A model a hundred times smaller wants larger steps, and a laptop fewer images.
_SMALL: dict[Method, dict[str, Any]] = {
    "lora": {"learning_rate": 1e-3, "steps": 300, "batch_size": 2, "class_images": 32},
    "full": {"learning_rate": 1e-4, "steps": 200, "batch_size": 2, "class_images": 32},
}

# Its base was taught to take no notice of a word it does not know before the noun, and the small
# text encoder does so thoroughly: only trained along does it tell "ohwx person" from "person". It
# soon takes every person for the subject, too: with 32 class images that count as the photos do, "a
# photo of a person" went a quarter of the way to the subject; with these less than a tenth.
_OF_MINI: dict[str, Any] = {
    "class_images": 128,
    "prior_loss_weight": 3.0,
    "train_text_encoder": True,
    "class_image_guidance": 2.0,
    # It has never heard of the Eiffel Tower.
    "validation_prompts": ["a photo of {subject}", "a photo of {subject} on the beach"],
    # Its small CLIP's scores differ by a third from one beach to the next, and by more than half
    # from a beach to none; and of pictures so small a likeness is noisy.
    "retention_floor": 0.5,
    "patience": 3,
}
_MINI: dict[Method, dict[str, Any]] = {
    # Most people are learned in half of these steps, and some take nearly all.
    "lora": {**_SMALL["lora"], **_OF_MINI, "steps": 800},
    # Whether stopping early serves full weights as well was not tried.
    "full": {
        **_SMALL["full"],
        **_OF_MINI,
        "steps": 240,
        "learning_rate": 2.5e-4,
        "early_stopping": "off",
    },
}

BASES: dict[str, BaseModelRef] = {
    base.name: base
    for base in (
        BaseModelRef(
            name="sd15",
            source="hub",
            location="stable-diffusion-v1-5/stable-diffusion-v1-5",
            variant="fp16",
            safety_checker=SAFETY_CHECKER,
        ),
        BaseModelRef(
            name="realistic-vision",
            source="hub",
            location="SG161222/Realistic_Vision_V5.1_noVAE",
            safety_checker=SAFETY_CHECKER,
        ),
        BaseModelRef(
            name="mini",
            source="package",
            location="lensa_mini",
            resolution=64,
            tokens=_MINI_TOKENS,
            guidance_scale=2.0,  # beyond that skin and hair burn
            expander="package:lensa_mini",
            embedder="package:lensa_mini",
            recipe=_MINI,
        ),
        BaseModelRef(
            name="micro",
            source="generated",
            location="micro",
            resolution=32,
            expander="generated:micro",
            embedder="generated:micro",
            recipe=_SMALL,
        ),
    )
}

DEFAULT_BASE = "sd15"

assert all(base.family in FAMILIES for base in BASES.values())
