"""The pictures of the styles: drawn by the embedded base, small enough to travel in the wheel."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image, ImageDraw

from lensa.prompts.styles import own_styles
from mini import attributes, captions
from mini.thumbnails import MOST, SIDE, encoded, middle, wanted


def vocabulary() -> set[str]:
    """Every word that the embedded base was taught."""
    phrases = [captions.HAIR_COLOUR, *captions.HAIR_COLOUR.split()]
    for table in (
        *(captions.HAIR, captions.FACIAL_HAIR, captions.GLASSES, captions.EXPRESSION),
        *(captions.CLOTHES, captions.SCENES, captions.LIGHT, captions.FRAMING, captions.STYLE),
    ):
        phrases += [phrase for group in table.values() for phrase in group]
    phrases += [value for values in attributes.VALUES.values() for value in values]
    phrases += [*captions.ROLES.values(), "a photo of person", "an portrait with wearing in on"]
    phrases += ["skin background"]
    return {word for phrase in phrases for word in re.findall(r"[\w-]+", phrase)}


@pytest.mark.parametrize("name", own_styles())
def test_every_style_has_a_small_picture(name: str) -> None:
    picture = own_styles()[name].picture
    assert picture is not None, "python -m mini.thumbnails draws it"
    assert picture.stat().st_size < MOST
    with Image.open(picture) as image:
        assert (image.format, image.size) == ("WEBP", (SIDE, SIDE))
        assert max(high - low for low, high in image.convert("RGB").getextrema()) > 60  # no blank


@pytest.mark.parametrize("name", own_styles())
def test_a_thumbnail_is_asked_for_in_words_that_the_base_knows(name: str) -> None:
    words = set(re.findall(r"[\w-]+", own_styles()[name].thumbnail or ""))
    assert words
    assert words - vocabulary() == set()


def test_the_odd_one_out_is_never_the_picture_of_a_style() -> None:
    alike = [Image.new("RGB", (64, 64), (100 + step, 90, 80)) for step in (0, 4, 8)]
    odd = Image.new("RGB", (64, 64), "blue")
    assert middle([odd, *alike]) is alike[1]


def test_a_picture_that_compresses_badly_still_fits() -> None:
    noise = Image.effect_noise((64, 64), 120).convert("RGB")
    ImageDraw.Draw(noise).ellipse((10, 10, 54, 54), fill="red")
    data = encoded(noise)
    assert len(data) < MOST
    assert Image.open(io.BytesIO(data)).size == (SIDE, SIDE)


def test_an_unknown_name_ends_the_command() -> None:
    assert list(wanted(["neon", "anime"])) == ["neon", "anime"]
    with pytest.raises(SystemExit, match="no style with a thumbnail is called 'nein'"):
        wanted(["nein"])
