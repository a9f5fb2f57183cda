"""The files that images are answered in, and what they say about themselves."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from making import draw, micro
from PIL import Image

from inference_entrypoint.encode import encode, parameters, read_parameters
from inference_entrypoint.order import Result
from lensa.contract.generation import GenerationRequest


def result(prompt: str = "a photo of ohwx person", **fields: Any) -> Result:
    """What generating would return; no image is drawn for it."""
    request = GenerationRequest(
        prompt="", **{"steps": 3, "guidance_scale": 7.5, "scheduler": "ddim", **fields}
    )
    return Result(
        images=[Image.new("RGB", (32, 24))],
        prompts=[prompt],
        seeds=[9],
        indices=[4],
        unsafe=[False],
        seed=8,
        scheduler="PNDMScheduler",
        request=request,
    )


def settings(**fields: Any) -> str:
    return parameters(result(**fields), 0).split("\n")[-1]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("text", ["", "plain\nSteps: 3", "Ünïcode 😀 漢字"])
def test_each_format_keeps_the_text(format: Any, text: str) -> None:
    content = encode(Image.new("RGB", (32, 24), (200, 10, 10)), format, text)
    with Image.open(BytesIO(content)) as image:
        assert (image.format, image.size) == (format.upper(), (32, 24))
        assert read_parameters(image) == (text or None)


def test_a_text_that_no_jpeg_can_hold_does_not_cost_the_image() -> None:
    content = encode(Image.new("RGB", (32, 24)), "jpeg", "😀" * 20_000)
    with Image.open(BytesIO(content)) as image:
        assert read_parameters(image) is None
    fits = encode(Image.new("RGB", (32, 24)), "jpeg", "漢" * 32_000)
    with Image.open(BytesIO(fits)) as image:
        assert read_parameters(image) == "漢" * 32_000


def test_png_loses_nothing() -> None:
    original = draw(micro()).images[0]
    with Image.open(BytesIO(encode(original, "png"))) as image:
        assert image.tobytes() == original.tobytes()


def test_the_text_has_the_form_of_a1111() -> None:
    drawn = replace(result("a pirate", negative_prompt="hat, blur"), indices=[1])
    assert parameters(drawn, 0, avatar="lensa-x", model="micro") == (
        "a pirate\n"
        "Negative prompt: hat, blur\n"
        "Steps: 3, Sampler: DDIM, CFG scale: 7.5, Seed: 9, Size: 32x24, Index: 1, "
        "Avatar: lensa-x, Model: micro"
    )


def test_a_negative_prompt_without_guidance_had_no_part_in_it() -> None:
    text = parameters(result(guidance_scale=1, negative_prompt="hat"), 0)
    assert "Negative" not in text


@pytest.mark.parametrize(
    ("scheduler", "name"),
    [
        ("default", "PNDMScheduler"),
        ("ddim", "DDIM"),
        ("dpm++", "DPM++ 2M"),
        ("dpm++-karras", "DPM++ 2M Karras"),
        ("euler", "Euler"),
        ("lcm", "LCM"),
    ],
)
def test_samplers_are_called_as_a1111_calls_them(scheduler: str, name: str) -> None:
    assert f"Sampler: {name}, " in settings(scheduler=scheduler)


def test_what_is_not_ordinary_is_told() -> None:
    told = settings(
        guided=0.5,
        face_detail=True,
        adapter_scale=0.5,
        subject=False,
        blend={"lensa-7k2m0000-1f3a9c2e": 0.4, "lensa-7k2m0000-1f3a9c2f": 1},
    )
    assert told.endswith(
        "Index: 4, Guided: 0.5, Face detail: True, Adapter scale: 0.5, "
        'Blend: "lensa-7k2m0000-1f3a9c2e:0.4, lensa-7k2m0000-1f3a9c2f:1", Subject: False'
    )
    assert settings(guided=1.0).endswith("Index: 4")


def test_the_image_it_began_with_is_told_by_its_hash() -> None:
    source = encode(Image.new("RGB", (32, 32), "red"), "png")
    told = settings(image=base64.b64encode(source).decode(), strength=0.35)
    digest = hashlib.sha256(source).hexdigest()[:16]
    assert told.endswith(f"Denoising strength: 0.35, Init image hash: {digest}")
    on_lines = base64.encodebytes(source).decode()
    assert digest in settings(image=on_lines)


def test_numbers_are_told_as_exactly_as_they_were_used() -> None:
    assert "CFG scale: 7.123456789," in settings(guidance_scale=7.123456789)
    assert "CFG scale: 8," in settings(guidance_scale=8)


def test_a_prompt_that_no_line_can_hold_is_a_setting_as_well() -> None:
    text = parameters(result("a hat,\nNegative prompt: x", negative_prompt="a\tb"), 0)
    first, negative, last = text.split("\n")
    assert (first, negative) == ("a hat, Negative prompt: x", "Negative prompt: a b")
    assert last.endswith(r'Prompt: "a hat,\nNegative prompt: x", Negative prompt: "a\tb"')
