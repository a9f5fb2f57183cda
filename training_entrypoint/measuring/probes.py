"""What is drawn to measure by: the validation prompts, and what the base makes of their rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from inference_entrypoint.prompts import place_subject
from lensa.contract import Concept, GenerationRequest, TrainingConfig
from lensa.contract.concepts import INSTANCE_PROMPT, names

# subject: a validation prompt. class: "a photo of a person", which is not to change. plain: a
# validation prompt without the subject, drawn once by the base itself: the measure of its context.
Role = Literal["subject", "class", "plain"]


@dataclass(frozen=True)
class Probe:
    """One image a validation: the request, and what its image is held against."""

    role: Role
    name: str  # of its file
    request: GenerationRequest
    concepts: tuple[int, ...]  # the numbers of those that it shows, or whose class it is
    context: str | None = None  # what the image has to show beside the subject, as a prompt

    @property
    def once(self) -> bool:
        """Whether it is drawn at step 0 alone."""
        return self.role == "plain"


def probes_of(config: TrainingConfig) -> list[Probe]:
    """Return what is drawn at step 0; at later steps all of it but what is drawn `once`.

    The validation prompts' come first, in their order. None without validation prompts.
    """
    subjects, plain = [], []
    for index, prompt in enumerate(config.validation_prompts):
        context = context_of(config, prompt)
        shown = _named(config, prompt)
        request = _request(config, config.fill(prompt))
        subjects.append(Probe("subject", str(index), request, shown, context))
        if context is not None:
            alone = _request(config, context, subject=False)
            plain.append(Probe("plain", f"plain-{index}", alone, shown, context))
    classes: dict[str, tuple[int, ...]] = {}
    for number, concept in enumerate(config.every_concept, start=1):
        if concept.kind != "style":  # a manner of drawing has no class that could drift
            text = concept.fill(concept.class_prompt)
            classes[text] = (*classes.get(text, ()), number)
    drifting = [
        Probe("class", f"class-{index}", _request(config, text, subject=False), numbers)
        for index, (text, numbers) in enumerate(classes.items())
    ]
    return [*subjects, *drifting, *plain] if subjects else []


def context_of(config: TrainingConfig, prompt: str) -> str | None:
    """Return what a validation prompt says without what is learned: "a photo of a person in front
    of the Eiffel Tower". None if that is no more than "a photo of a person"."""
    template = prompt
    for number, concept in enumerate(config.every_concept, start=1):
        mark = "{subject}" if number == 1 else f"{{subject{number}}}"
        # The longer words first: a token that stands alone is the subject as well.
        for words in (concept.subject, concept.token):
            template = re.sub(rf"(?<!\w){re.escape(words)}(?!\w)", mark, template)
        bare = {_bare(INSTANCE_PROMPT), _bare(concept.instance_prompt)}
        if _bare(template.replace(mark, "{subject}")) in bare:
            return None
        if concept.kind == "style":
            template = re.sub(rf",?\s*\bin the style of {re.escape(mark)}", "", template)
    placed = place_subject(
        template,
        subject=config.subject,
        class_noun=config.class_noun,
        named=False,
        others=config.concepts,
    )
    return placed.prompt


def _bare(prompt: str) -> str:
    """Return a prompt as it is compared: "A photo of {subject}." says no more for its capital."""
    return prompt.strip(" .").casefold()


def _named(config: TrainingConfig, prompt: str) -> tuple[int, ...]:
    """Return the numbers of the concepts that a prompt names; the subject's if it names none."""
    filled = config.fill(prompt)

    def is_named(concept: Concept) -> bool:
        called = concept.name is not None and names(filled, concept.name)
        return called or names(filled, concept.token)

    numbers = enumerate(config.every_concept, start=1)
    return tuple(number for number, concept in numbers if is_named(concept)) or (1,)


def _request(config: TrainingConfig, prompt: str, *, subject: bool = True) -> GenerationRequest:
    """The same noise for every prompt and at every step: what differs is the weights' doing."""
    return GenerationRequest(
        prompt=prompt,
        subject=subject,
        seed=config.seed,
        width=config.resolution,
        height=config.resolution,
        quality="draft",  # half of the steps: enough to be measured by
        steps=config.validation_steps,
        safety=False,
    ).suited_to(config.base)
