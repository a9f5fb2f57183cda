"""What an avatar is made of: the vocabulary, identities, pictures, and drawing both at random.

An *identity* is what stays when a person is photographed twice (hair, skin, glasses, beard); a
*picture* adds what changes (expression, clothes, background, framing, light, style). One identity
in ten is reserved by a hash: the base model never sees it, so a subject is new by construction.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

HAIR_STYLES = (
    "bald",
    "short",
    "bob",
    "bun",
    "afro",
    "straight",
    "wavy",
    "dreadlocks",
    "mohawk",
    "quiff",
    "spiky",
    "shaggy",
)
HAIR_COLOURS = ("black", "brown", "blonde", "red", "grey", "pink", "blue", "green")
SKINS = ("pale", "light", "tan", "brown", "dark")
GLASSES = ("none", "glasses", "sunglasses", "white sunglasses")
FACIAL_HAIR = ("none", "light beard", "long beard", "moustache")

EXPRESSIONS = ("smiling", "laughing", "sad", "surprised", "angry", "serious", "winking")
CLOTHES = (
    "hoodie",
    "t-shirt",
    "sweater",
    "v-neck shirt",
    "overalls",
    "blazer",
    "suit",
    "spacesuit",
    "chef jacket",
)
PLAIN_CLOTHES = frozenset(CLOTHES[:5])  # these take a colour in the caption
COLOURS = ("red", "yellow", "green", "blue", "purple", "pink", "white", "black")
PLAIN_BACKGROUNDS = ("white", "grey", "red", "yellow", "green", "blue", "purple", "pink")
SCENES = ("beach", "forest", "night sky", "sunset")
BACKGROUNDS = PLAIN_BACKGROUNDS + SCENES
FRAMINGS = ("portrait", "close-up", "wide shot")
LIGHTS = ("soft", "dramatic", "warm", "cool")
STYLES = (
    "photo",
    "pencil sketch",
    "watercolour",
    "pop art",
    "sepia",
    "neon",
    "oil painting",
    "pixel art",
)

# Attribute name -> its values: the heads of the evaluation's classifier.
VALUES: dict[str, tuple[str, ...]] = {
    "style": STYLES,
    "hair_style": HAIR_STYLES,
    "hair_colour": HAIR_COLOURS,
    "skin": SKINS,
    "glasses": GLASSES,
    "facial_hair": FACIAL_HAIR,
    "expression": EXPRESSIONS,
    "clothes": CLOTHES,
    "clothes_colour": COLOURS,
    "background": BACKGROUNDS,
    "framing": FRAMINGS,
    "light": LIGHTS,
}
IDENTITY_FIELDS = ("hair_style", "hair_colour", "skin", "glasses", "facial_hair")

HELD_OUT_SHARE = 10  # one identity in so many is never shown to the base model


@dataclass(frozen=True)
class Identity:
    """The five attributes a subject keeps from photo to photo."""

    hair_style: str
    hair_colour: str
    skin: str
    glasses: str
    facial_hair: str

    def held_out(self) -> bool:
        """True for the identities reserved for subjects, by a hash that no seed can change."""
        digest = hashlib.sha256("|".join(asdict(self).values()).encode()).digest()
        return digest[0] * 256 + digest[1] < 65536 // HELD_OUT_SHARE


@dataclass(frozen=True)
class Picture:
    """One picture of one identity. Lengths are in shares of the image side, angles in degrees."""

    identity: Identity
    style: str
    expression: str
    clothes: str
    clothes_colour: str
    background: str
    framing: str
    light: str
    zoom: float
    shift: float
    tilt: float
    mirrored: bool
    seed: int  # of everything too small to name: grain, colour jitter, the angle of the light


def draw_identity(rng: random.Random, *, held_out: bool) -> Identity:
    """A random identity from one side of the split."""
    while True:
        hair_style = rng.choice(HAIR_STYLES)
        facial_hair = rng.choice(FACIAL_HAIR) if rng.random() < 0.6 else "none"
        # Nobody can see the hair colour of a shaven bald head: one value, so that it cannot
        # put two equal-looking people on both sides of the split.
        unseen = hair_style == "bald" and facial_hair == "none"
        identity = Identity(
            hair_style=hair_style,
            hair_colour="black" if unseen else rng.choice(HAIR_COLOURS),
            skin=rng.choice(SKINS),
            glasses=rng.choice(GLASSES) if rng.random() < 0.7 else "none",
            facial_hair=facial_hair,
        )
        if identity.held_out() == held_out:
            return identity


def draw_picture(
    rng: random.Random, identity: Identity, *, style: str | None = None, tilt: float = 7.0
) -> Picture:
    """A random picture of `identity`; 36% are photos unless `style` says otherwise."""
    if style is None:
        style = "photo" if rng.random() < 0.36 else rng.choice(STYLES[1:])
    framing = rng.choices(FRAMINGS, weights=(6, 2, 2))[0]
    # At 64 pixels a face needs most of the picture to have a mouth that can be read.
    low, high = {"portrait": (1.1, 1.24), "close-up": (1.42, 1.6), "wide shot": (0.84, 0.94)}[
        framing
    ]
    return Picture(
        identity=identity,
        style=style,
        expression=rng.choice(EXPRESSIONS),
        clothes=rng.choice(CLOTHES),
        clothes_colour=rng.choice(COLOURS),
        background=rng.choice(PLAIN_BACKGROUNDS if rng.random() < 0.68 else SCENES),
        framing=framing,
        light=rng.choice(LIGHTS),
        zoom=rng.uniform(low, high),
        shift=rng.uniform(-0.05, 0.05),
        tilt=rng.uniform(-tilt, tilt),
        mirrored=rng.random() < 0.5,
        seed=rng.randrange(2**31),
    )


def values_of(picture: Picture) -> dict[str, str]:
    """Every attribute of `VALUES` by name."""
    return {
        name: getattr(picture.identity if name in IDENTITY_FIELDS else picture, name)
        for name in VALUES
    }


def to_indices(values: dict[str, str]) -> list[int]:
    """`values_of` as one index an attribute, in the order of `VALUES`: a row of labels."""
    return [VALUES[name].index(values[name]) for name in VALUES]


def from_indices(indices: Sequence[int]) -> dict[str, str]:
    """The inverse of `to_indices`."""
    return {name: VALUES[name][int(i)] for name, i in zip(VALUES, indices, strict=True)}
