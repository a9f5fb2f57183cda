"""The phrase grammar behind the prompt expander.

A pair is (prompt, continuation). The prompt is what a user may type, unknown words included; the
continuation adds clothes, background, expression, framing, light and quality, in `mini`'s own
caption vocabulary so that they show. It never adds hair, skin, glasses, a beard or a style, so
the subject and the chosen style survive, and never what the prompt already says.
"""

from __future__ import annotations

import random

from mini.attributes import COLOURS, PLAIN_BACKGROUNDS, STYLES
from mini.captions import DUMMY_TOKENS, LIGHT, STYLE, SUBJECT_TOKENS

_NOUNS = "person person person man woman face character child boy girl dog cat robot toy"
NOUNS = _NOUNS.split()
_ROLES = (
    "astronaut,chef,knight,wizard,pirate,superhero,king,queen,doctor,viking,samurai,detective,"
    "musician,athlete,scientist,teacher,explorer,cowboy"
)
ROLES = _ROLES.split(",")
_FOREIGN_STYLES = (
    "anime,comic,3d render,cinematic,film noir,fantasy art,cartoon,low poly,line art,charcoal,"
    "digital painting,impressionist painting,vintage poster,concept art,black and white"
)
FOREIGN_STYLES = _FOREIGN_STYLES.split(",")
_IDENTITY = (
    "red hair,long hair,blue hair,a beard,glasses,sunglasses,dark skin,curly hair,a moustache"
)
IDENTITY = _IDENTITY.split(",")

CATEGORIES: dict[str, tuple[str, ...]] = {
    "clothes": (
        *(f"wearing a {c} {g}" for c in COLOURS for g in ("hoodie", "t-shirt", "sweater")),
        *(f"in a {c} {g}" for c in COLOURS for g in ("hoodie", "sweater", "v-neck shirt")),
        *(f"in {c} overalls" for c in COLOURS),
        *("wearing a hoodie", "wearing a suit", "in a suit and tie", "wearing a jacket") * 4,
        *("wearing a blazer", "wearing a t-shirt", "in a sweater", "in a suit") * 4,
    ),
    "background": (
        *(f"{c} background" for c in PLAIN_BACKGROUNDS for _ in range(2)),
        *(f"on a {c} background" for c in PLAIN_BACKGROUNDS),
        *("on the beach", "at the beach", "in a forest", "forest background") * 2,
        *("night sky background", "under a starry sky", "at sunset", "sunset background") * 2,
    ),
    "expression": ("smiling", "smiling", "happy", "laughing", "serious", "winking", "surprised"),
    "framing": ("close-up", "close-up", "wide shot"),
    "light": tuple(phrase for phrases in LIGHT.values() for phrase in phrases),
    "quality": ("highly detailed", "sharp focus", "high quality", "4k"),
}
LIKELY = {
    "clothes": 0.75,
    "background": 0.8,
    "expression": 0.65,
    "framing": 0.3,
    "light": 0.6,
    "quality": 0.6,
}


def _word(rng: random.Random) -> str:
    """A word nobody has seen, or a subject's token."""
    if rng.random() < 0.5:
        return rng.choice((*SUBJECT_TOKENS, *DUMMY_TOKENS))
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 9)))


def draw_prompt(rng: random.Random) -> tuple[str, set[str]]:
    """A prompt, and the categories that it already settles."""
    said: set[str] = set()
    styles = (*STYLES, *(name for names in STYLE.values() for name in names), *FOREIGN_STYLES)
    noun = rng.choice(NOUNS)
    if rng.random() < 0.75:
        noun = f"{_word(rng)} {noun}"
    article = rng.choice(("a ", "a ", "a ", "", "the "))
    opening = rng.choices(
        ("a photo of ", "photo of ", "portrait of ", "", f"{rng.choice(styles)} of "),
        weights=(5, 2, 2, 3, 2),
    )[0]
    text = opening + article + noun
    parts: list[str] = []
    if rng.random() < 0.15:
        text += f" with {rng.choice(IDENTITY)}"
    if rng.random() < 0.25:
        role = rng.choice(ROLES)
        text += f" as {'an' if role[0] in 'aeiou' else 'a'} {role}"
        said.add("clothes")
    if rng.random() < 0.5 and not opening.endswith("g of "):
        parts.append(rng.choice(styles))
    for category, phrases in CATEGORIES.items():
        if category not in said and category != "quality" and rng.random() < 0.12:
            parts.append(rng.choice(phrases))
            said.add(category)
    if rng.random() < 0.15:
        parts.append(" ".join(_word(rng) for _ in range(rng.randint(1, 3))))
    if rng.random() < 0.04:  # nothing we know at all
        text = " ".join(_word(rng) for _ in range(rng.randint(1, 5)))
        parts, said = [], set()
    rng.shuffle(parts)
    text = ", ".join([text, *parts])
    return text.capitalize() if rng.random() < 0.1 else text, said


def draw_pair(rng: random.Random) -> tuple[str, str]:
    """A prompt and its continuation; the two concatenated are the expanded prompt."""
    prompt, said = draw_prompt(rng)
    open_ones = [c for c in CATEGORIES if c not in said]
    chosen = [c for c in open_ones if rng.random() < LIKELY[c]]
    if len(chosen) < 2:  # an expansion expands
        chosen = rng.sample(open_ones, min(3, len(open_ones)))
    rng.shuffle(chosen)
    if "quality" in chosen:  # reads best at the end
        chosen.remove("quality")
        chosen.append("quality")
    continuation = ", " + ", ".join(rng.choice(CATEGORIES[c]) for c in chosen)
    if rng.random() < 0.08:  # the user typed the comma
        return prompt + ",", continuation[1:]
    return prompt, continuation
