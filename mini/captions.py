"""Captions: what `lensa` will ask for, said in many ways.

A caption keeps a random share of the attributes, from none to all, so that "pencil sketch of a
person" works as well as a prompt that says everything. The style comes first ("neon portrait of a
person") or among the attributes ("a photo of a person, smiling, neon"), and then it overrides the
opening. Unnamed style means photo. One caption in ten is empty (classifier-free guidance), and in
one of ten a made-up word stands before the noun, where a subject's token will.
"""

from __future__ import annotations

import random

from mini.attributes import PLAIN_CLOTHES

# Rare words for subjects: single tokens that no training caption contains.
SUBJECT_TOKENS = ("sks", "ohwx", "zwx", "ukj", "zqv", "vxk")
_SYLLABLES = ("bo", "da", "fe", "gu", "ki", "lo", "mu", "pe")
# 64 made-up words that teach the model to take no notice of an unknown word before the noun.
DUMMY_TOKENS = tuple(a + b + "x" for a in _SYLLABLES for b in _SYLLABLES)

HAIR_COLOUR = "{colour} hair"
HAIR = {
    "bald": ("bald", "bald head"),
    "short": ("short {colour} hair",),
    "bob": ("{colour} bob", "{colour} hair in a bob"),
    "bun": ("{colour} bun", "{colour} hair in a bun"),
    "afro": ("{colour} afro",),
    "straight": ("long straight {colour} hair", "straight {colour} hair"),
    "wavy": ("long wavy {colour} hair", "wavy {colour} hair"),
    "dreadlocks": ("{colour} dreadlocks",),
    "mohawk": ("{colour} mohawk",),
    "quiff": ("{colour} quiff",),
    "spiky": ("spiky {colour} hair",),
    "shaggy": ("shaggy {colour} hair",),
}
FACIAL_HAIR = {
    "none": ("clean-shaven", "no beard"),
    "light beard": ("light beard", "short beard"),
    "long beard": ("long beard", "full beard"),
    "moustache": ("moustache", "moustache", "mustache"),
}
GLASSES = {
    "none": ("no glasses",),
    "glasses": ("glasses",),
    "sunglasses": ("sunglasses",),
    "white sunglasses": ("white sunglasses",),
}
EXPRESSION = {
    "smiling": ("smiling", "happy"),
    "laughing": ("laughing", "laughing out loud"),
    "sad": ("sad", "crying"),
    "surprised": ("surprised", "shocked"),
    "angry": ("angry", "angry look"),
    "serious": ("serious", "serious look"),
    "winking": ("winking", "winking with tongue out"),
}
CLOTHES = {
    "hoodie": ("hoodie",),
    "t-shirt": ("t-shirt",),
    "sweater": ("sweater",),
    "v-neck shirt": ("v-neck shirt",),
    "overalls": ("overalls",),
    "blazer": ("blazer", "jacket"),
    "suit": ("suit", "suit and tie", "black suit"),
    "spacesuit": ("spacesuit",),
    "chef jacket": ("chef jacket",),
}
ROLES = {"spacesuit": "as an astronaut", "chef jacket": "as a chef"}
SCENES = {
    "beach": ("on the beach", "beach background", "at the beach"),
    "forest": ("in a forest", "forest background"),
    "night sky": ("night sky background", "under a starry sky", "starry night sky"),
    "sunset": ("at sunset", "sunset background"),
}
LIGHT = {
    "soft": ("soft light", "studio light"),
    "dramatic": ("dramatic light", "dramatic lighting"),
    "warm": ("warm light", "golden light"),
    "cool": ("cool light", "cold light"),
}
FRAMING = {"close-up": ("close-up", "close-up of the face"), "wide shot": ("wide shot", "far away")}
STYLE = {  # other names, for a caption in five
    "pencil sketch": ("pencil drawing", "sketch"),
    "watercolour": ("watercolor", "watercolor", "watercolour painting"),
    "pop art": ("comic book",),
    "sepia": ("sepia photo", "vintage photo"),
    "neon": ("neon lights", "cyberpunk"),
    "oil painting": ("oil on canvas", "renaissance painting"),
    "pixel art": ("8-bit", "pixelated"),
}
# Means nothing here: prompts are full of it, so it has to do no harm.
QUALITY = ("highly detailed", "sharp focus", "high quality", "4k", "masterpiece", "avatar")


_JOINED = frozenset(("with", "as", "wearing", "in", "on", "at", "under"))


def caption(values: dict[str, str], rng: random.Random) -> str:
    """A caption of the picture whose attributes are `values` (see `attributes.values_of`)."""
    kept = told(values, rng)
    return "" if kept is None else say(values, kept, rng)


def told(values: dict[str, str], rng: random.Random) -> set[str] | None:
    """The attributes that a caption tells: a random share of all. None: the caption is empty."""
    if rng.random() < 0.1:
        return None
    draw = rng.random()
    share = 0.0 if draw < 0.15 else 1.0 if draw < 0.5 else rng.random()
    kept = {name for name in values if rng.random() < share}
    if values["style"] != "photo":
        kept.add("style")
    return kept


def say(values: dict[str, str], kept: set[str], rng: random.Random) -> str:
    """The attributes `kept` of a picture in words, in one of many ways."""
    before, after = _attributes(values, kept, rng)
    noun = _noun(values, rng)
    if rng.random() < 0.1:
        noun = f"{rng.choice(DUMMY_TOKENS)} {noun}"
    if before:
        noun = f"{before} {noun}"
    article = "an " if noun[0] in "aeiou" else "a "
    if rng.random() < 0.2:
        article = ""

    style = values["style"]
    if style in STYLE and rng.random() < 0.2:
        style = rng.choice(STYLE[style])
    if style == "photo":
        openings = ("a photo of ", "photo of ", "a portrait photo of ", "portrait of ", "")
        opening = rng.choices(openings, weights=(10, 5, 2, 2, 3))[0]
        if rng.random() < 0.12:  # the style named, as any other
            after.insert(rng.choice((0, len(after))), "photo")
    elif rng.random() < 0.4:
        some = "an" if style[0] in "aeiou8" else "a"
        opening = rng.choice(
            (
                f"{style} of ",
                f"{some} {style} of ",
                f"{style} portrait of ",
                f"{some} {style} portrait of ",
            )
        )
    else:
        opening = rng.choices(
            ("a photo of ", "photo of ", "portrait of ", ""), weights=(10, 3, 2, 6)
        )[0]
        place = rng.choices((0, len(after), rng.randint(0, len(after))), weights=(3, 2, 2))[0]
        after.insert(place, style)
    text = opening + article + noun
    # "a person with glasses", "a person as an astronaut": mostly no comma before such phrases
    while after and after[0].split()[0] in _JOINED and rng.random() < 0.7:
        text += " " + after.pop(0)
    text = ", ".join([text, *after])
    return text.replace("grey", "gray") if rng.random() < 0.15 else text


def describe(values: dict[str, str], noun: str = "person") -> str:
    """The one full caption of a picture: nothing left out, nothing random."""
    style, hair = values["style"], HAIR[values["hair_style"]][0]
    parts = [
        f"a photo of a {noun}",
        "" if style == "photo" else style,
        hair.format(colour=values["hair_colour"]),
        f"{values['skin']} skin",
        GLASSES[values["glasses"]][0],
        FACIAL_HAIR[values["facial_hair"]][0],
        EXPRESSION[values["expression"]][0],
        ("wearing " if values["clothes"] == "overalls" else "wearing a ")
        + (f"{values['clothes_colour']} " if values["clothes"] in PLAIN_CLOTHES else "")
        + values["clothes"],
        SCENES.get(values["background"], (f"{values['background']} background",))[0],
        FRAMING.get(values["framing"], ("",))[0],
        LIGHT[values["light"]][0] if style == "photo" else "",
    ]
    return ", ".join(part for part in parts if part)


def _noun(values: dict[str, str], rng: random.Random) -> str:
    if rng.random() < 0.75:
        return "person"
    nouns = ["character", "person", "face"]
    if values["facial_hair"] != "none":
        nouns += ["man", "man"]
    elif values["hair_style"] in ("bob", "bun", "straight", "wavy"):
        nouns += ["woman", "woman"]
    return rng.choice(nouns)


def _attributes(
    values: dict[str, str], kept: set[str], rng: random.Random
) -> tuple[str, list[str]]:
    """An adjective for before the noun ("" for none), and phrases for after it, shuffled."""
    before = ""
    after: list[str] = []
    worn: list[str] = []  # can follow "with"
    if hair := _hair(values, kept, rng):
        (after if hair == "bald" else worn).append(hair)
    if "skin" in kept:
        worn.append(f"{values['skin']} skin")
    if "glasses" in kept and (values["glasses"] != "none" or rng.random() < 0.6):
        phrase = rng.choice(GLASSES[values["glasses"]])
        worn.append(f"wearing {phrase}" if phrase[:2] != "no" and rng.random() < 0.3 else phrase)
    if "facial_hair" in kept and (values["facial_hair"] != "none" or rng.random() < 0.6):
        worn.append(rng.choice(FACIAL_HAIR[values["facial_hair"]]))
    if "expression" in kept:
        phrase = rng.choice(EXPRESSION[values["expression"]])
        if rng.random() < 0.25 and " " not in phrase:
            before = phrase
        else:
            after.append(phrase)
    if "clothes" in kept or "clothes_colour" in kept:
        after.append(_clothes(values, kept, rng))
    if "background" in kept:
        after.append(_background(values["background"], rng))
    if "light" in kept and values["style"] == "photo":
        after.append(rng.choice(LIGHT[values["light"]]))
    if "framing" in kept and values["framing"] in FRAMING:
        after.append(rng.choice(FRAMING[values["framing"]]))
    if rng.random() < 0.15:
        after.append(rng.choice(QUALITY))
    after += worn
    rng.shuffle(after)
    if worn and rng.random() < 0.4:
        first = rng.choice(worn)
        if not first.startswith("wearing") and first != "clean-shaven":
            after.remove(first)
            after.insert(0, f"with {first}")
    return before, [phrase for phrase in after if phrase]


def _hair(values: dict[str, str], kept: set[str], rng: random.Random) -> str:
    style, colour = values["hair_style"], values["hair_colour"]
    if style == "bald":
        return rng.choice(HAIR["bald"]) if kept & {"hair_style", "hair_colour"} else ""
    if "hair_style" in kept:
        phrase = rng.choice(HAIR[style])
        named = "hair_colour" in kept
        return phrase.format(colour=colour if named else "").replace("  ", " ").strip()
    return HAIR_COLOUR.format(colour=colour) if "hair_colour" in kept else ""


def _clothes(values: dict[str, str], kept: set[str], rng: random.Random) -> str:
    clothes, colour = values["clothes"], values["clothes_colour"]
    if clothes in ROLES and rng.random() < 0.4:
        return ROLES[clothes]
    plain = clothes in PLAIN_CLOTHES
    named = f"{colour} " if plain and "clothes_colour" in kept else ""
    if "clothes" not in kept:
        return f"{colour} clothes" if plain else ""
    phrase = named + rng.choice(CLOTHES[clothes])
    some = "" if clothes == "overalls" else "a "
    return rng.choice((f"wearing {some}{phrase}", f"in {some}{phrase}", phrase))


def _background(name: str, rng: random.Random) -> str:
    if name in SCENES:
        return rng.choice(SCENES[name])
    return rng.choices((f"{name} background", f"on a {name} background"), weights=(3, 1))[0]
