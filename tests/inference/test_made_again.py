"""An image is made again from what its file says: the same pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from files import AVATAR, FORMATS, answered, encoded, written
from making import draw, micro
from PIL import Image

from inference_entrypoint.encode import encode
from inference_entrypoint.expand import load_expander
from inference_entrypoint.generate import Result, generate
from lensa.contract import BASES
from lensa.contract.generation import GenerationRequest, ImageFormat
from lensa.like import request_like


def drawn_again(request: GenerationRequest) -> Result:
    return generate(
        micro(), request, subject="ohwx person", class_noun="person", indices=[request.index]
    )


# What makes an image another one, in all the ways a request can ask for it.
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "negative": {"negative_prompt": 'hat, "blur": 3,\nlow quality'},
    "guided in part": {"steps": 4, "guided": 0.5},
    "guided throughout": {"steps": 4, "guided": 1.0},
    "without guidance": {"guidance_scale": 1},
    "odd numbers": {"guidance_scale": 7.123456789, "adapter_scale": 1.0},
    "another size": {"width": 48, "height": 32},
    "the class alone": {"subject": False},
    "words that look like settings": {"prompt": "Steps: 3, Sampler: x, Negative prompt: y"},
    "in a draft": {"quality": "draft", "steps": None},
    **{
        name: {"scheduler": name}
        for name in ("default", "ddim", "dpm++", "dpm++-karras", "euler", "lcm", "ddim-trailing")
    },
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_png_is_made_again_pixel_by_pixel(case: str) -> None:
    result = draw(micro(), **{"prompt": "as a pirate, 漢字", "count": 2, **REQUESTS[case]})
    request = request_like(answered(written(result, 1)))
    assert (request.seed, request.index, request.count) == (5, 1, 1)
    assert request.avatar == AVATAR
    # Drawn alone, without its neighbour, it may differ by rounding: so does the first time.
    alone = draw(
        micro(),
        **{"prompt": "as a pirate, 漢字", "count": 2, **REQUESTS[case]},
        indices=[1],
    )
    again = drawn_again(request)
    assert again.prompts == alone.prompts
    assert again.images[0].tobytes() == alone.images[0].tobytes()


@pytest.mark.parametrize("case", ["lcm", "hyper-4", "hyper-8", "tiny"])
def test_how_it_was_hurried_is_told(case: str) -> None:
    fields: dict[str, Any] = {"tiny_decoder": True} if case == "tiny" else {"few_step": case}
    asked = GenerationRequest(prompt="me", seed=5, **fields).suited_to(BASES["micro"])
    found = request_like(answered(written(generate_with(asked))))
    again = found.suited_to(BASES["micro"])
    assert (again.few_step, again.tiny_decoder) == (asked.few_step, asked.tiny_decoder)
    assert (again.steps, again.scheduler, again.guided) == (
        asked.steps,
        asked.scheduler,
        asked.guided,
    )


def generate_with(request: GenerationRequest) -> Result:
    return generate(micro(), request, subject="ohwx person", class_noun="person")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_made_again_byte_by_byte(format: ImageFormat) -> None:
    result = draw(micro(), prompt="as a pirate, Ünïcode 😀", seed=77)
    content = written(result, 0, format)
    request = request_like(answered(content, format))
    assert request.format == format
    assert written(drawn_again(request), 0, format) == content


def test_an_image_of_an_expanded_prompt_is_made_again_without_expanding() -> None:
    asked = GenerationRequest(prompt="as a pirate", expand=True, steps=3, seed=5)
    expander = load_expander(BASES["micro"].expander)
    result = generate(micro(), asked, subject="ohwx person", class_noun="person", expander=expander)
    assert len(result.prompts[0]) > len("a photo of ohwx person as a pirate")
    request = request_like(answered(written(result)))
    assert not request.expand and request.prompt == result.prompts[0]
    assert drawn_again(request).images[0].tobytes() == result.images[0].tobytes()


def test_an_image_begun_with_another_is_made_again_with_that(tmp_path: Path) -> None:
    source = encode(Image.linear_gradient("L").convert("RGB"), "png")
    result = draw(micro(), image=encoded(source), strength=0.7)
    image = answered(written(result))
    request = request_like(image, image=source)
    assert request.strength == 0.7
    assert drawn_again(request).images[0].tobytes() == result.images[0].tobytes()
    path = tmp_path / "begin.png"
    path.write_bytes(source)
    assert request_like(image, image=path) == request
