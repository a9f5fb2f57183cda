"""What a training job is told: every choice of the recipe, each with its range."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.fields import FieldInfo

from lensa.contract._model import Contract
from lensa.contract.bases import TOKENS_IN_NAMES, BaseModelRef, Method, VaeRef
from lensa.contract.concepts import (
    CLASS_PROMPT,
    INSTANCE_PROMPT,
    Concept,
    Kind,
    Noun,
    Prompt,
    Token,
    check_named,
    check_prompts,
    words_of,
)
from lensa.contract.emphasis import fragments
from lensa.contract.gallery import MOST_IMAGES, GalleryItem

Precision = Literal["auto", "fp32", "fp16", "bf16"]
Schedule = Literal["constant", "linear", "cosine", "polynomial"]
Memory = Literal["auto", "normal", "lean"]

# Where a LoRA goes beside: the attention layers; all layers of the transformer blocks; these and
# the convolutions of the residual blocks. A text encoder has none of the last.
LoraTargets = Literal["attention", "transformer", "all"]

EarlyStopping = Literal["likeness", "fid", "off"]
Embedder = Literal["auto", "clip", "dinov2", "face"]  # auto: the base's own

LearningRate = Annotated[float, Field(gt=0, le=0.01)]


class TrainingConfig(Contract):
    """One DreamBooth training (Ruiz et al. 2022, arXiv:2208.12242), with or without LoRA
    (Hu et al. 2021, arXiv:2106.09685).

    Prompts name the subject as `{subject}`, which becomes `token class_noun`. `concepts` are what
    is learned beside it, each from photos of its own; to prompts they are `{subject2}` and so on.
    """

    title: ClassVar[str] = "training"

    # the subject
    subject_id: Annotated[str, Field(pattern=r"^[0-9a-z]{4,32}$")]
    kind: Kind = "person"
    token: Token = "ohwx"
    class_noun: Noun = "person"
    instance_prompt: Prompt = INSTANCE_PROMPT
    class_prompt: Prompt = CLASS_PROMPT
    concepts: Annotated[tuple[Concept, ...], Field(max_length=9)] = ()

    # the model
    base: BaseModelRef
    vae: VaeRef | None = None  # None: the base's own
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
    # None: as often as a tenth of the computing allows; 0: never on the way
    validation_every: Annotated[int, Field(ge=0, le=20_000)] | None = None
    validation_steps: Annotated[int, Field(ge=1, le=200)] | None = None  # of drawing; None: few
    embedder: Embedder = "auto"  # whose image features likeness is measured by
    early_stopping: EarlyStopping = "likeness"  # off: the last step is exported
    patience: Annotated[int, Field(ge=1, le=100)] = 2  # validations without gain
    retention_floor: Annotated[float, Field(ge=0, le=1)] = 0.85  # of the base's own
    checkpoint_every: Annotated[int, Field(ge=0, le=20_000)] = 200  # 0: only when stopped
    checkpoints_kept: Annotated[int, Field(ge=1, le=100)] = 2
    tracker: Literal["wandb", "tensorboard", "none"] = "wandb"
    project: Annotated[str, Field(pattern=r"^[\w.-]{1,128}$")] = "lensa"
    gallery: Annotated[tuple[GalleryItem, ...], Field(max_length=MOST_IMAGES)] = ()  # at its end

    def check(self) -> None:
        check_prompts(self)
        tokens = [self.token, *(concept.token for concept in self.concepts)]
        for prompt in self.validation_prompts:
            check_named("validation_prompts", prompt, tokens)
            fragments(prompt)  # images are drawn of it: in the job, an error would cost
        self._check_apart(tokens)
        self._check_gallery()
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
        self._check_stopping()
        if self.method == "full" and (self.dora or self.lora_targets != "attention"):
            field = "dora" if self.dora else "lora_targets"
            raise ValueError(f"{field} is of a LoRA, and method is 'full': set method to 'lora'.")

    def _check_stopping(self) -> None:
        if self.early_stopping != "fid":
            return
        if not self.prior_preservation:
            raise ValueError(
                "early_stopping 'fid' compares with class images: set prior_preservation to true, "
                "or early_stopping to 'likeness'."
            )
        if self.validation_every == 0 or not self.validation_prompts:
            raise ValueError(
                "early_stopping 'fid' needs validation images: leave validation_every out and name "
                "validation_prompts, or set early_stopping to 'off'."
            )

    def _check_gallery(self) -> None:
        names = [item.name for item in self.gallery]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"gallery: {min(twice)!r} is there twice: name one of them otherwise.")
        if (images := sum(item.count for item in self.gallery)) > MOST_IMAGES:
            raise ValueError(
                f"gallery: {images} images are asked for, and a job draws {MOST_IMAGES} at most: "
                "ask for fewer styles, or for fewer images of each."
            )

    def _check_apart(self, tokens: list[str]) -> None:
        """Two concepts of one token, or of one name, would be one to every prompt."""
        called = [concept.name.lower() for concept in self.concepts if concept.name]
        if short := [name for name in called if len(name) < 2]:
            raise ValueError(
                f"concepts: name {short[0]!r} is too short to be looked for in prompts."
            )
        for field, words in (("token", tokens), ("name", called)):
            twice = {word for word in words if words.count(word) > 1}
            if twice:
                raise ValueError(f"concepts: {field} {min(twice)!r} is there twice.")
        for concept in self.every_concept:
            if {*concept.class_prompt.split()} & {*tokens}:
                raise ValueError(
                    f"concepts: the class_prompt of {concept.token!r} names what is learned; it "
                    "describes a class alone."
                )

    @property
    def subject(self) -> str:
        """The words that stand for the subject in a prompt, e.g. "ohwx person"."""
        return words_of(self)

    @property
    def every_concept(self) -> tuple[Concept, ...]:
        """The subject, and what is learned beside it."""
        own = {field: getattr(self, field) for field in Concept.model_fields if field != "name"}
        return (Concept(**own), *self.concepts)

    @property
    def of_people(self) -> bool:
        """Whether a person's likeness is learned, as the subject or beside it."""
        return any(concept.kind == "person" for concept in self.every_concept)

    def alone(self, number: int) -> TrainingConfig:
        """Return the configuration of concept `number` by itself: the subject is number 1."""
        own = self.every_concept[number - 1].model_dump(exclude={"name"})
        return self.model_copy(update={**own, "concepts": ()})

    def drawn_classes(self, own: Collection[int] = ()) -> list[int]:
        """Return the numbers of the concepts whose class images are drawn: of those with the same
        class prompt the first, and none of those that have `own` ones."""
        drawn: dict[str, int] = {}
        if self.prior_preservation:
            for number, concept in enumerate(self.every_concept, start=1):
                if number not in own:
                    drawn.setdefault(concept.fill(concept.class_prompt), number)
        return list(drawn.values())

    def fill(self, prompt: str) -> str:
        """Put every concept's words and the subject's class noun into a prompt template."""
        prompt = self.fill_others(prompt)
        return prompt.replace("{subject}", self.subject).replace("{class_noun}", self.class_noun)

    def fill_others(self, prompt: str) -> str:
        """Put in the words of the concepts that have a number: `{subject}` is left as it is."""
        for number, concept in enumerate(self.every_concept, start=1):
            prompt = prompt.replace(f"{{subject{number}}}", concept.subject)
        return prompt

    def identity(self) -> dict[str, Any]:
        """Return what the name of a job is made of, as JSON.

        A field that came later is part of it only where it is set: the same call is still the same
        job after an upgrade. The gallery never is: it is drawn when all is learned, and asking for
        other images must not cost another training.
        """
        dump = self.model_dump(mode="json")
        kept = {
            name: dump[name]
            for name, field in TrainingConfig.model_fields.items()
            if name in _FIRST_FIELDS
            or (name != "gallery" and getattr(self, name) != _default(field))
        }
        if self.validation_every is None:  # what every call that did not say it had then
            kept["validation_every"] = max(1, self.steps // 4)
        # What a token is chosen from is not what the training is made of: that is in `token`. And
        # the base is the same one by whatever its images are measured.
        kept["base"] = {**dump["base"], "tokens": list(TOKENS_IN_NAMES)}
        del kept["base"]["embedder"]
        return kept


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


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
