"""What a training job is told: every choice of the recipe, each with its range."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.bases import BaseModelRef, Method
from lensa.contract.emphasis import fragments

Kind = Literal["person", "pet", "object"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
Schedule = Literal["constant", "linear", "cosine", "polynomial"]
Memory = Literal["auto", "normal", "lean"]

# Where a LoRA goes beside: the attention layers; all layers of the transformer blocks; these and
# the convolutions of the residual blocks. A text encoder has none of the last.
LoraTargets = Literal["attention", "transformer", "all"]

LearningRate = Annotated[float, Field(gt=0, le=0.01)]
Prompt = Annotated[str, Field(min_length=1, max_length=2000)]


class TrainingConfig(Contract):
    """One DreamBooth training (Ruiz et al. 2022, arXiv:2208.12242), with or without LoRA
    (Hu et al. 2021, arXiv:2106.09685).

    Prompts name the subject as `{subject}`, which becomes `token class_noun`.
    """

    title: ClassVar[str] = "training"

    # the subject
    subject_id: Annotated[str, Field(pattern=r"^[0-9a-z]{4,32}$")]
    kind: Kind = "person"
    token: Annotated[str, Field(pattern=r"^[a-z0-9]{2,24}$")] = "ohwx"
    class_noun: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z -]{0,38}$")] = "person"
    instance_prompt: Prompt = "a photo of {subject}"
    class_prompt: Prompt = "a photo of a {class_noun}"

    # the model
    base: BaseModelRef
    method: Method = "lora"
    lora_rank: Annotated[int, Field(ge=1, le=256)] = 16
    lora_alpha: Annotated[float, Field(gt=0, le=512)] | None = None  # None: equal to the rank
    lora_targets: LoraTargets = "attention"
    dora: bool = False  # weight-decomposed LoRA (Liu et al. 2024, arXiv:2402.09353)
    train_text_encoder: bool = False
    text_encoder_learning_rate: LearningRate | None = None  # None: `learning_rate`

    # optimisation
    resolution: Annotated[int, Field(ge=16, le=1024, multiple_of=8)] = 512
    steps: Annotated[int, Field(ge=1, le=20_000)] = 800
    learning_rate: LearningRate = 1e-4  # Prodigy finds its own, and does not read it
    learning_rate_schedule: Schedule = "constant"  # after the warm-up; the others end at 0
    batch_size: Annotated[int, Field(ge=1, le=64)] = 1
    gradient_accumulation: Annotated[int, Field(ge=1, le=128)] = 1
    gradient_checkpointing: bool = False
    max_grad_norm: Annotated[float, Field(gt=0, le=100)] = 1.0
    optimizer: Literal["adamw", "adamw8bit", "prodigy"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    warmup_steps: Annotated[int, Field(ge=0, le=20_000)] = 0
    precision: Precision = "auto"
    memory: Memory = "auto"  # lean: fits a GPU of 16 GB; auto: lean where the GPU is too small
    min_snr_gamma: Annotated[float, Field(gt=0, le=100)] | None = None  # None: all count 1
    noise_offset: Annotated[float, Field(ge=0, le=1)] = 0.0  # 0.05 to 0.1: darker, lighter images
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None  # None: the last weights count
    masked_loss: bool = False  # of the photos, by the masks that are their alpha channels
    unmasked_weight: Annotated[float, Field(ge=0, le=1)] = 0.1  # of what is not the subject
    crops: Annotated[int, Field(ge=1, le=16)] = 1  # a photo's: all of it, then random parts of it
    flip: bool = False  # mirrored photos: more variety, at the price of a parting on both sides
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    # prior preservation
    prior_preservation: bool = True
    prior_loss_weight: Annotated[float, Field(ge=0, le=10)] = 1.0
    class_images: Annotated[int, Field(ge=0, le=2000)] = 100
    class_image_steps: Annotated[int, Field(ge=1, le=200)] = 20
    class_image_guidance: Annotated[float, Field(ge=1, le=50)] = 7.5

    # what is looked at, and what is kept
    validation_prompts: Annotated[tuple[Prompt, ...], Field(max_length=16)] = (
        "a photo of {subject}",
        "a photo of {subject} in front of the Eiffel Tower",
    )
    validation_every: Annotated[int, Field(ge=0, le=20_000)] = 200  # 0: only at the end
    checkpoint_every: Annotated[int, Field(ge=0, le=20_000)] = 200  # 0: only when stopped
    checkpoints_kept: Annotated[int, Field(ge=1, le=100)] = 2
    tracker: Literal["wandb", "none"] = "wandb"
    project: Annotated[str, Field(pattern=r"^[\w.-]{1,128}$")] = "lensa"

    def check(self) -> None:
        for field in ("instance_prompt", "validation_prompts"):
            value = getattr(self, field)
            for prompt in (value,) if isinstance(value, str) else value:
                if "{subject}" not in prompt and self.token not in prompt.split():
                    raise ValueError(
                        f"{field} {prompt!r} never names the subject: "
                        "put {subject} where it belongs."
                    )
        if "{subject}" in self.class_prompt or self.token in self.class_prompt.split():
            raise ValueError(
                "class_prompt names the subject; it describes the class alone: "
                "'a photo of a {class_noun}'."
            )
        for prompt in (*self.validation_prompts, self.class_prompt):
            fragments(prompt)  # images are drawn of these: in the job, an error would cost
        if self.prior_preservation and self.class_images < 1:
            raise ValueError(
                "prior_preservation needs class images: set class_images to 1 or more, "
                "or prior_preservation to false."
            )
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) leaves nothing of {self.steps} steps: "
                "set it below steps."
            )
        if self.text_encoder_learning_rate is not None and not self.train_text_encoder:
            raise ValueError(
                "text_encoder_learning_rate is set but the text encoder is not trained: "
                "set train_text_encoder to true."
            )
        if self.text_encoder_learning_rate is not None and self.optimizer == "prodigy":
            raise ValueError(
                "text_encoder_learning_rate is set but optimizer 'prodigy' finds one rate for all: "
                "leave it out, or use optimizer 'adamw'."
            )
        if self.method == "full" and (self.dora or self.lora_targets != "attention"):
            field = "dora" if self.dora else "lora_targets"
            raise ValueError(f"{field} is of a LoRA, and method is 'full': set method to 'lora'.")

    @property
    def subject(self) -> str:
        """The words that stand for the subject in a prompt, e.g. "ohwx person"."""
        return f"{self.token} {self.class_noun}"

    def fill(self, prompt: str) -> str:
        """Put the subject and the class noun into a prompt template."""
        return prompt.replace("{subject}", self.subject).replace("{class_noun}", self.class_noun)

    def identity(self) -> dict[str, Any]:
        """Return what the name of a job is made of, as JSON.

        A field that came later is part of it only where it is set: the same call is still the same
        job after an upgrade.
        """
        dump = self.model_dump(mode="json")
        return {
            name: dump[name]
            for name, field in TrainingConfig.model_fields.items()
            if name in _FIRST_FIELDS
            or getattr(self, name) != field.get_default(call_default_factory=True)
        }


# The fields that every job's name was made of when names were first made.
_OF_FIRST = """
    subject_id kind token class_noun instance_prompt class_prompt base method lora_rank lora_alpha
    train_text_encoder text_encoder_learning_rate resolution steps learning_rate batch_size
    gradient_accumulation gradient_checkpointing max_grad_norm optimizer weight_decay warmup_steps
    precision masked_loss unmasked_weight flip seed prior_preservation prior_loss_weight
    class_images class_image_steps class_image_guidance validation_prompts validation_every
    checkpoint_every checkpoints_kept tracker project
"""
_FIRST_FIELDS = frozenset(_OF_FIRST.split())
