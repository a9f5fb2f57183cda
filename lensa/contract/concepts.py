"""What is learned: a person, a pet, an object or a manner of drawing, and the words for it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Protocol

from pydantic import Field

from lensa.contract._model import Contract
from lensa.contract.emphasis import fragments
from lensa.contract.names import SUBJECT
from lensa.contract.prompts import joined

Kind = Literal["person", "pet", "object", "style"]
KINDS: tuple[Kind, ...] = ("person", "pet", "object", "style")

MAX_PROMPT = 2000  # characters

Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]
Token = Annotated[str, Field(pattern=r"^[a-z0-9]{2,24}$")]
Noun = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z -]{0,38}$")]

INSTANCE_PROMPT, CLASS_PROMPT = "a photo of {subject}", "a photo of a {class_noun}"
STYLE_PROMPT, STYLE_CLASS_PROMPT = "a {class_noun} in the style of {subject}", "a {class_noun}"


class Concept(Contract):
    """One of the things that an avatar learns. Its prompts name it as `{subject}`.

    `name` is for prompts, and goes along to wherever the avatar goes: unlike a subject's own name.
    """

    title: ClassVar[str] = "concept"

    name: Annotated[str, Field(pattern=rf"^{SUBJECT.pattern}$")] | None = None
    kind: Kind = "person"
    token: Token
    class_noun: Noun
    instance_prompt: Prompt = INSTANCE_PROMPT
    class_prompt: Prompt = CLASS_PROMPT

    def check(self) -> None:
        check_prompts(self)

    @property
    def subject(self) -> str:
        """The words that stand for it in a prompt: "ohwx person"; of a style, the token alone."""
        return words_of(self)

    def fill(self, prompt: str) -> str:
        """Put its words and its class noun into a prompt template."""
        return prompt.replace("{subject}", self.subject).replace("{class_noun}", self.class_noun)

    def caption(self, caption: str) -> str:
        """Return the prompt of a photo with a caption of its own.

        One that names neither `{subject}` nor the token gets the instance prompt in front: what
        the photo is of must be in the prompt, or the token never learns it.
        """
        if "{subject}" in caption or names(caption, self.token):
            return self.fill(caption)
        return self.fill(self.instance_prompt + joined(self.fill(caption)))


class _Named(Protocol):
    """A Concept, or the TrainingConfig whose first concept has its own fields."""

    @property
    def kind(self) -> Kind: ...
    @property
    def token(self) -> str: ...
    @property
    def class_noun(self) -> str: ...
    @property
    def instance_prompt(self) -> str: ...
    @property
    def class_prompt(self) -> str: ...


def words_of(concept: _Named) -> str:
    """Return "token noun"; a style is no thing of a class: "in the style of ohwx"."""
    if concept.kind == "style":
        return concept.token
    return f"{concept.token} {concept.class_noun}"


def names(prompt: str, token: str) -> bool:
    """Whether a prompt has the token in it as a word."""
    return re.search(rf"(?<!\w){re.escape(token)}(?!\w)", prompt, re.IGNORECASE) is not None


def check_prompts(concept: _Named) -> None:
    """Raise ValueError for prompts that do not do what they are for; ConfigError for brackets."""
    check_named("instance_prompt", concept.instance_prompt, [concept.token])
    if "{subject}" in concept.class_prompt or concept.token in concept.class_prompt.split():
        raise ValueError(
            "class_prompt names the subject; it describes the class alone: 'a photo of a "
            "{class_noun}'."
        )
    fragments(concept.class_prompt)  # images are drawn of it: in the job, an error would cost


def check_named(field: str, prompt: str, tokens: list[str]) -> None:
    """Raise ValueError if a prompt names none of what is learned."""
    numbered = ["{subject}", *(f"{{subject{n}}}" for n in range(2, len(tokens) + 1))]
    if not any(word in prompt for word in numbered) and not set(tokens) & set(prompt.split()):
        raise ValueError(
            f"{field} {prompt!r} never names the subject: put {{subject}} where it belongs."
        )
