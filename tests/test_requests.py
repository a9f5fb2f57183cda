"""What a client sends: the name stays here, a style does not overrule, a picture is made anew."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from photos.sets import phone_exif
from PIL import Image

from lensa.errors import ConfigError
from lensa.requests import make_request, packed


def test_the_subjects_name_is_in_neither_prompt() -> None:
    request = make_request("Ada in oil", name="ada", negative_prompt="ada with glasses")
    assert request.prompt == "{subject} in oil"
    assert request.negative_prompt == "{subject} with glasses"


def test_a_style_gives_way_to_a_quality_that_is_asked_for() -> None:
    assert make_request("me", style="fantasy").steps is not None
    assert make_request("me", style="fantasy", quality="draft").steps is None
    few = make_request("me", style="fantasy", few_step="lcm")
    assert few.steps is None and few.guidance_scale is None


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """As a phone writes it: on its side, with the place it was taken at. Red above blue."""
    picture = Image.new("RGB", (80, 60), "blue")
    picture.paste("red", (0, 0, 80, 30))
    file = tmp_path / "photo.jpg"
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.save(file, exif=phone_exif(6), quality=95)
    return file


def test_a_picture_to_begin_with_goes_upright_and_without_its_place(photo: Path) -> None:
    text = packed(photo)
    with Image.open(io.BytesIO(base64.b64decode(text))) as sent:
        assert sent.size == (80, 60)
        red, blue = sent.getpixel((40, 5)), sent.getpixel((40, 55))
        assert isinstance(red, tuple) and isinstance(blue, tuple)
        assert red[0] > 200 and blue[2] > 200
        assert not dict(sent.getexif()) and "exif" not in sent.info
    with Image.open(photo) as opened:
        assert packed(opened) == packed(photo.read_bytes()) == text


def test_a_large_picture_is_sent_no_larger_than_it_is_used(tmp_path: Path) -> None:
    Image.effect_noise((4000, 3000), 90).convert("RGB").save(tmp_path / "large.png")
    text = packed(tmp_path / "large.png")
    with Image.open(io.BytesIO(base64.b64decode(text))) as sent:
        assert sent.size == (2048, 1536) and sent.format == "JPEG"  # as PNG it would be too much


@pytest.mark.parametrize("image", [5, "nowhere.png", "a\0b", b"not a picture"])
def test_what_is_no_picture_is_refused(image: object) -> None:
    with pytest.raises(ConfigError, match=r"image|nowhere|cannot be read"):
        packed(image)
