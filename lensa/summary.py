"""What is said before a training: the whole recipe, and what one should know about it."""

from __future__ import annotations

from lensa.backends.base import TrainingPlan
from lensa.contract import Concept, TrainingConfig

# Words for a manner of drawing: as a class noun they teach that every portrait is the subject.
_MANNERS_WORDS = """
    portrait photo photograph picture image painting drawing sketch art selfie headshot
    style illustration artwork render snapshot watercolor
"""
_MANNERS = frozenset(_MANNERS_WORDS.split())


def opening(plan: TrainingPlan, title: str) -> list[str]:
    """What is said before the first event: the recipe, and what was done to the photos."""
    config = plan.config
    count = sum(len(concept.photos.photos) for concept in plan.every_concept)
    recipe = (
        f"{title}: {count} photos, {config.method} on {config.base.name}, "
        f"{config.steps} steps, learning rate {config.learning_rate:g}"
    )
    if config.prior_preservation:
        recipe += ", prior preservation"
    lines = [recipe]
    if config.vae is not None:
        lines.append(f"with the VAE {config.vae}")
    for concept, given in zip(config.every_concept, plan.every_concept, strict=True):
        lines.append(f"{_learned(config, concept)} ({len(given.photos.photos)} photos)")
    lines += [f"note: {note}" for note in advice(config)]
    for given in plan.every_concept:
        photos = given.photos
        lines += [f"left out: {name}: {reason}" for name, reason in photos.rejected.items()]
        lines += [f"note: {note}" for note in photos.notes]
    return lines


def _learned(config: TrainingConfig, concept: Concept) -> str:
    words = f"{concept.kind}: {concept.fill(concept.instance_prompt)!r}"
    if config.prior_preservation:
        words += f" beside {concept.fill(concept.class_prompt)!r}"
    return words


def advice(config: TrainingConfig) -> list[str]:
    """Return what is allowed, and seldom meant."""
    said = []
    for concept in config.every_concept:
        if concept.token not in config.base.tokens:
            said.append(
                f"token {concept.token!r} is none of the words that {config.base.name} is known to "
                f"read as one: {', '.join(config.base.tokens)}. The job says how many pieces it is."
            )
        manner = concept.class_noun.lower().split()[-1]
        if concept.kind != "style" and manner in _MANNERS:
            said.append(
                f"class noun {concept.class_noun!r} says how something is shown, not what it is: "
                "name the thing (person, dog, teapot), or learn a manner with --kind style."
            )
    return said
