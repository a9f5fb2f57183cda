"""One attribute in a sentence of its own: what an embedder is asked to read attributes by words."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mini.captions import CLOTHES, EXPRESSION, FACIAL_HAIR, GLASSES, HAIR, SCENES, STYLE

ATTRIBUTES = (
    "style",
    "background",
    "clothes",
    "expression",
    "glasses",
    "facial_hair",
    "hair_style",
    "hair_colour",
    "skin",
)
OPENINGS = ("a photo of a person", "a person", "photo of a person")


def sentence(attribute: str, value: str, rng: random.Random | None = None) -> str:
    """Somebody of whom one thing is known, in the usual words or in some that `rng` picks."""

    def one_of(phrases: Sequence[str]) -> str:
        return rng.choice(phrases) if rng is not None else phrases[0]

    opening = one_of(OPENINGS)
    if attribute == "style":
        # Whatever it says, no style means a photo.
        return "a photo of a person" if value == "photo" else (
            f"{opening}, {one_of((value, value, *STYLE.get(value, ())))}"
        )  # fmt: skip
    if attribute == "background":
        return f"{opening}, {one_of(SCENES.get(value, (f'{value} background',)))}"
    if attribute == "clothes":
        return f"{opening}, wearing {'' if value == 'overalls' else 'a '}{one_of(CLOTHES[value])}"
    if attribute == "expression":
        return f"{opening}, {one_of(EXPRESSION[value])}"
    if attribute == "glasses":
        return f"{opening} with {one_of(GLASSES[value])}"
    if attribute == "facial_hair":
        return f"{opening}, {one_of(FACIAL_HAIR[value])}"
    if attribute == "hair_style":
        hair = one_of(HAIR[value]).format(colour="").replace("  ", " ").strip()
        return f"{opening}, {hair}" if value == "bald" else f"{opening} with {hair}"
    if attribute == "hair_colour":
        return f"{opening} with {value} hair"
    return f"{opening} with {value} skin"
