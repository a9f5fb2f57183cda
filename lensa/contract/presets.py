"""What is known to work, by kind of subject, method and base; every value can be overridden."""

from __future__ import annotations

from typing import Any

from lensa.contract.bases import BaseModelRef, Method
from lensa.contract.concepts import STYLE_CLASS_PROMPT, STYLE_PROMPT, Kind

# S2.9, S2.12: 800 to 1200 steps with prior preservation for faces; 200 to 400 without otherwise.
_BY_KIND: dict[Kind, dict[str, Any]] = {
    "person": {"class_noun": "person", "prior_preservation": True, "steps": 800},
    "pet": {"class_noun": "pet", "prior_preservation": False, "steps": 400},
    "object": {"class_noun": "object", "prior_preservation": False, "steps": 400},
    # A manner of drawing is no thing: it has a token without a noun, and no class to preserve.
    "style": {
        "class_noun": "picture",
        "prior_preservation": False,
        "steps": 800,
        "instance_prompt": STYLE_PROMPT,
        "class_prompt": STYLE_CLASS_PROMPT,
        "validation_prompts": (
            "a house by a lake in the style of {subject}",
            "a portrait of a person in the style of {subject}",
        ),
    },
}

# S18.26: 100 steps a photo, and never fewer or more than these.
STEPS_A_PHOTO = 100
_STEPS: dict[Kind, tuple[int, int]] = {
    "person": (800, 1200),
    "pet": (200, 400),
    "object": (200, 400),
    "style": (800, 2000),
}

# S2.8: 1e-6 to 2e-6 for full weights; a LoRA starts at zero and takes a hundred times that.
_BY_METHOD: dict[Method, dict[str, Any]] = {
    "lora": {"learning_rate": 1e-4},
    "full": {"learning_rate": 2e-6, "optimizer": "adamw8bit"},
}


def preset(
    kind: Kind,
    method: Method,
    base: BaseModelRef,
    *,
    steps: int | None = None,
    photos: int | None = None,
    concepts: int = 1,
) -> dict[str, Any]:
    """Return the fields of TrainingConfig that follow from kind, method, base and steps.

    Without `steps` they follow from how many `photos` there are, of all `concepts` together, unless
    the base has a number of its own.
    """
    fields: dict[str, Any] = {
        "kind": kind,
        "method": method,
        "base": base,
        "token": base.tokens[0],
        "resolution": base.resolution,
        **_BY_KIND[kind],
        **_BY_METHOD[method],
    }
    if photos is not None:
        least, most = _STEPS[kind]
        fields["steps"] = min(max(STEPS_A_PHOTO * photos, least * concepts), most * concepts)
    own = base.recipe.get(method, {})
    if kind == "style":  # whose prompts are of another kind
        own = {name: value for name, value in own.items() if name != "validation_prompts"}
    fields |= own
    if steps is not None:
        fields["steps"] = steps
    return {**fields, "checkpoint_every": max(1, fields["steps"] // 4)}
