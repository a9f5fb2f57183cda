"""Draws a `Picture` as pixels: python-avatars composes the figure as SVG, resvg rasterises it.

The artwork is Avataaars by Pablo Stanley (see the model card for its licence).
"""

from __future__ import annotations

import colorsys
import io
import random
import re

import numpy as np
import python_avatars as pa
import resvg_py
from PIL import Image

from mini.attributes import Picture
from mini.filters import apply_style

HAIR = {
    "bald": pa.HairType.NONE,
    "short": pa.HairType.SHORT_FLAT,
    "bob": pa.HairType.BOB,
    "bun": pa.HairType.BUN,
    "afro": pa.HairType.FRO,
    "straight": pa.HairType.STRAIGHT_STRAND,
    "wavy": pa.HairType.LOOSE_HAIR,
    "dreadlocks": pa.HairType.DREADS,
    "mohawk": pa.HairType.MOHAWK,
    "quiff": pa.HairType.QUIFF,
    "spiky": pa.HairType.EVIL_SPIKE,
    "shaggy": pa.HairType.WILD,
}
HAIR_RGB = {
    "black": "#2b2322",
    "brown": "#744229",
    "blonde": "#e3bf62",
    "red": "#c8390f",
    "grey": "#c4c2c4",
    "pink": "#f27fb2",
    "blue": "#3b6be0",
    "green": "#3aa25c",
}
SKIN_RGB = {
    "pale": "#ffe1c6",
    "light": "#edb98a",
    "tan": "#cf8a58",
    "brown": "#9c5730",
    "dark": "#57382b",
}
GLASSES = {
    "none": pa.AccessoryType.NONE,
    "glasses": pa.AccessoryType.PRESCRIPTION_2,
    "sunglasses": pa.AccessoryType.WAYFARERS,
    "white sunglasses": pa.AccessoryType.KURT,
}
FACIAL_HAIR = {
    "none": pa.FacialHairType.NONE,
    "light beard": pa.FacialHairType.BEARD_LIGHT,
    "long beard": pa.FacialHairType.BEARD_MAGESTIC,
    "moustache": pa.FacialHairType.MOUSTACHE_MAGNUM,
}
EXPRESSION = {  # eyes, eyebrows, mouth
    "smiling": (pa.EyeType.DEFAULT, pa.EyebrowType.DEFAULT, pa.MouthType.SMILE),
    "laughing": (pa.EyeType.HAPPY, pa.EyebrowType.RAISED_EXCITED, pa.MouthType.BIG_SMILE),
    "sad": (pa.EyeType.CRY, pa.EyebrowType.SAD_CONCERNED, pa.MouthType.SAD),
    "surprised": (pa.EyeType.SURPRISED, pa.EyebrowType.RAISED_EXCITED, pa.MouthType.SCREAM_OPEN),
    "angry": (pa.EyeType.SQUINT, pa.EyebrowType.ANGRY, pa.MouthType.GRIMACE),
    "serious": (pa.EyeType.DEFAULT, pa.EyebrowType.FLAT_NATURAL, pa.MouthType.SERIOUS),
    "winking": (pa.EyeType.WINK, pa.EyebrowType.UP_DOWN, pa.MouthType.TONGUE),
}
CLOTHES = {
    "hoodie": pa.ClothingType.HOODIE,
    "t-shirt": pa.ClothingType.SHIRT_CREW_NECK,
    "sweater": pa.ClothingType.COLLAR_SWEATER,
    "v-neck shirt": pa.ClothingType.SHIRT_V_NECK,
    "overalls": pa.ClothingType.OVERALL,
    "blazer": pa.ClothingType.BLAZER_SHIRT,
    "suit": pa.ClothingType.SHIRT_WICK,
    "spacesuit": pa.ClothingType.ASTRONAUT_SUIT,
    "chef jacket": pa.ClothingType.CHEF,
}
RGB = {
    "red": "#d8362f",
    "yellow": "#f2c92e",
    "green": "#3f9e4d",
    "blue": "#3b7fd9",
    "purple": "#8a4fc0",
    "pink": "#f08cc0",
    "white": "#f4f4f2",
    "black": "#26282c",
    "grey": "#96989c",
}


def draw(picture: Picture, size: int = 64) -> Image.Image:
    """The picture as an RGB image of `size` x `size` pixels, its style applied."""
    # Filters work at twice the size (256 at most is plenty) so that strokes come out antialiased.
    canvas = size * 2 if size <= 128 else size
    pixels = np.asarray(_rasterise(_svg(picture), canvas).convert("RGB"), dtype=np.float32) / 255
    styled = apply_style(pixels, picture)
    image = Image.fromarray((styled.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    if picture.style == "pixel art":  # its blocks must not be softened again
        return image.resize((size, size), Image.Resampling.NEAREST)
    return image.resize((size, size), Image.Resampling.BOX) if canvas != size else image


def _rasterise(svg: str, size: int) -> Image.Image:
    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size))))


def _svg(picture: Picture) -> str:
    """A 256 x 256 scene: the background, then the figure, its foot below the lower edge."""
    rng = random.Random(picture.seed)
    zoom = picture.zoom * 0.98
    flip = -1 if picture.mirrored else 1
    # The figure's own canvas is 264 x 280 with the head around (132, 110). A portrait follows the
    # head; a wide shot stands on the lower edge, so that no body floats.
    if picture.framing != "wide shot":
        place = f"translate({128 + picture.shift * 256:.1f} 134) "
        place += f"rotate({picture.tilt:.1f}) scale({flip * zoom:.3f} {zoom:.3f}) "
        place += "translate(-132 -124)"
    else:
        place = f"translate({128 + picture.shift * 256:.1f} 266) "
        place += f"rotate({picture.tilt:.1f}) scale({flip * zoom:.3f} {zoom:.3f}) "
        place += "translate(-132 -280)"
    figure = re.sub(r"^.*?<svg ", "<svg overflow='visible' ", _figure(picture, rng), flags=re.S)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="256" height="256" viewBox="0 0 256 256">{_background(picture.background, rng)}'
        f'<g transform="{place}">{figure}</g></svg>'
    )


def _figure(picture: Picture, rng: random.Random) -> str:
    identity = picture.identity
    eyes, eyebrows, mouth = EXPRESSION[picture.expression]
    hair = _jitter(HAIR_RGB[identity.hair_colour], rng, 0.015)
    return pa.Avatar(
        style=pa.AvatarStyle.TRANSPARENT,
        top=HAIR[identity.hair_style],
        hair_color=hair,
        facial_hair_color=hair,
        skin_color=_jitter(SKIN_RGB[identity.skin], rng, 0.01),
        accessory=GLASSES[identity.glasses],
        facial_hair=FACIAL_HAIR[identity.facial_hair],
        eyes=eyes,
        eyebrows=eyebrows,
        mouth=mouth,
        nose=pa.NoseType.DEFAULT,
        clothing=CLOTHES[picture.clothes],
        clothing_color=_jitter(RGB[picture.clothes_colour], rng, 0.03),
    ).render()


def _jitter(colour: str, rng: random.Random, amount: float) -> str:
    """The colour a little off, in hue and in brightness, so that no class is one exact value."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    hue = (hue + rng.uniform(-amount, amount) * 0.6) % 1
    saturation = min(1.0, max(0.0, saturation * (1 + rng.uniform(-amount, amount) * 3)))
    value = min(1.0, max(0.0, value * (1 + rng.uniform(-amount, amount) * 3)))
    return "#" + "".join(
        f"{round(c * 255):02x}" for c in colorsys.hsv_to_rgb(hue, saturation, value)
    )


def _background(name: str, rng: random.Random) -> str:
    """SVG shapes that fill 256 x 256: a plain colour, or one of four little scenes."""
    if name not in ("beach", "forest", "night sky", "sunset"):
        return f'<rect width="256" height="256" fill="{_jitter(RGB[name], rng, 0.03)}"/>'
    if name == "beach":
        line = rng.randint(105, 135)
        sun = rng.choice((38, 218))
        return (
            '<rect width="256" height="256" fill="#9fdcf5"/>'
            f'<circle cx="{sun}" cy="40" r="20" fill="#ffe36e"/>'
            f'<rect y="{line}" width="256" height="60" fill="#2f9fc4"/>'
            f'<rect y="{line + 45}" width="256" height="160" fill="#f0d9a0"/>'
        )
    if name == "forest":
        trees = "".join(
            f'<rect x="{x - 5}" y="150" width="10" height="106" fill="#6b4a2f"/>'
            f'<path d="M{x} {rng.randint(5, 60)} L{x + 34} 170 L{x - 34} 170 Z" '
            f'fill="{rng.choice(("#2f7d46", "#226137", "#3b9156"))}"/>'
            for x in range(rng.randint(0, 20), 270, 42)
        )
        return f'<rect width="256" height="256" fill="#bfe3c0"/>{trees}'
    if name == "night sky":
        stars = "".join(
            f'<circle cx="{rng.randint(0, 256)}" cy="{rng.randint(0, 200)}" '
            f'r="{rng.uniform(1.5, 4):.1f}" fill="#fff8d8"/>'
            for _ in range(34)
        )
        moon = rng.choice((36, 220))
        return (
            f'<rect width="256" height="256" fill="#141b46"/>{stars}'
            f'<circle cx="{moon}" cy="42" r="18" fill="#fbf3c4"/>'
        )
    sun = rng.choice((46, 210))
    bands = ("#5b3a8c", "#a8478f", "#e0626b", "#f58b4c", "#fdb94e")
    stripes = "".join(
        f'<rect y="{i * 40}" width="256" height="216" fill="{c}"/>' for i, c in enumerate(bands)
    )
    return f'{stripes}<circle cx="{sun}" cy="150" r="30" fill="#ffe08a"/>'
