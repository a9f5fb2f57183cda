"""The files that images are answered in, and what they say about themselves."""

from __future__ import annotations

from io import BytesIO

import pytest
from making import draw, micro
from PIL import Image

from inference_entrypoint.encode import encode, parameters, read_parameters


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("text", ["", "plain\nSteps: 3", "Ünïcode 😀 漢字"])
def test_each_format_keeps_the_text(format: str, text: str) -> None:
    content = encode(Image.new("RGB", (32, 24), (200, 10, 10)), format, text)
    with Image.open(BytesIO(content)) as image:
        assert (image.format, image.size) == (format.upper(), (32, 24))
        assert read_parameters(image) == (text or None)


def test_png_loses_nothing() -> None:
    original = draw(micro()).images[0]
    with Image.open(BytesIO(encode(original, "png"))) as image:
        assert image.tobytes() == original.tobytes()


def test_the_text_has_the_form_of_a1111() -> None:
    result = draw(micro(), count=2, negative_prompt="hat,\nblur", scheduler="dpm++", seed=9)
    assert parameters(result, 1, avatar="lensa-x") == (
        "a photo of ohwx person as a pirate\n"
        "Negative prompt: hat, blur\n"
        "Steps: 3, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 9, Size: 32x32, Index: 1, "
        "Avatar: lensa-x"
    )
    plain = draw(micro(), guidance_scale=1, negative_prompt="hat", adapter_scale=0.5)
    assert "Negative" not in parameters(plain, 0)  # without guidance it had no part in it
    assert "Adapter scale: 0.5" in parameters(plain, 0)
