"""What an image says of itself is read back, whoever wrote it and whatever became of it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from files import FORMATS, OTHER, answered, encoded, undrawn, with_text, written
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from PIL import Image

from inference_entrypoint.encode import encode
from lensa.contract.generation import GenerationRequest, ImageFormat
from lensa.errors import ConfigError
from lensa.like import request_like


def read_back(prompt: str, negative: str = "", format: ImageFormat = "png") -> tuple[str, str]:
    request = request_like(answered(written(undrawn(prompt, negative), 0, format), format))
    return request.prompt, request.negative_prompt


def test_the_image_it_began_with_must_be_given_and_be_the_same() -> None:
    source = encode(Image.new("RGB", (32, 32), "red"), "png")
    result = replace(
        undrawn("x"), request=undrawn("x").request.model_copy(update={"image": encoded(source)})
    )
    image = answered(written(result))
    with pytest.raises(ConfigError, match=r"sha256 begins with [0-9a-f]{16}: give that as well"):
        request_like(image)
    with pytest.raises(ConfigError, match="another image than"):
        request_like(image, image=source + b"\0")
    with pytest.raises(ConfigError, match=r"nowhere\.png cannot be read"):
        request_like(image, image="nowhere.png")
    with pytest.raises(ConfigError, match="not begun with an image"):
        request_like(answered(written(undrawn("x"))), image=source)


def test_what_cannot_be_seen_in_small_is_read_back_too() -> None:
    changes: dict[str, Any] = {
        "face_detail": True,
        "subject": False,
        "adapter_scale": 0.3333333333333333,
        "blend": {OTHER: 0.25},
        "guided": 0.123456789,
    }
    result = replace(undrawn("x"), request=undrawn("x").request.model_copy(update=changes))
    request = request_like(answered(written(result)))
    assert {name: getattr(request, name) for name in changes} == changes


def test_only_what_the_file_says_is_set() -> None:
    """So that a caller can lay other words over it, and defaults stay defaults."""
    request = request_like(answered(written(undrawn("x"))))
    given_fields = request.model_dump(exclude_unset=True)
    assert not {"image", "strength", "safety", "quality", "expand", "blend"} & given_fields.keys()
    assert GenerationRequest(**given_fields) == request


def test_a_file_is_read_as_well_as_what_was_opened_from_it(tmp_path: Path) -> None:
    for format in FORMATS:
        path = tmp_path / f"a.{format}"
        path.write_bytes(written(undrawn("a hat"), 0, format))
        with Image.open(path) as image:
            assert request_like(path) == request_like(str(path)) == request_like(image)
    assert request_like(path).prompt == "a hat"


TRAPS = [
    "",
    " ",
    "a\nb",
    "Negative prompt: x",
    "x\nNegative prompt: y",
    "Steps: 3, Sampler: x, Seed: 1",
    "x\nSteps: 3, Sampler: x, CFG scale: 1, Seed: 1, Size: 8x8",
    'say "hello", twice: "',
    '"',
    '"quoted"',
    "back\\slash\\",
    "\\",
    "\0\x1f\x7f\x85\u2028",
    "😀 漢字 \u200d\u202e",
    "(hat:1.3), [blur], {a}",
    "trailing ",
    "\r\n",
]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("prompt", TRAPS)
def test_prompts_that_look_like_something_else_survive(prompt: str, format: ImageFormat) -> None:
    assert read_back(prompt, prompt, format) == (prompt, prompt)
    assert read_back("x", prompt, format) == ("x", prompt)
    assert read_back(prompt, "", format) == (prompt, "")


PIECES = st.lists(
    st.one_of(st.text(max_size=20), st.sampled_from(TRAPS), st.sampled_from([",", ":", '"', "\n"])),
    max_size=6,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(prompt=PIECES, negative=PIECES, format=st.sampled_from(FORMATS))
def test_any_prompt_that_can_be_asked_for_survives(
    prompt: str, negative: str, format: ImageFormat
) -> None:
    try:
        GenerationRequest(prompt=prompt, negative_prompt=negative)
    except ConfigError:  # a bracket that is never closed
        reject()
    assert read_back(prompt, negative, format) == (prompt, negative)


def test_what_a1111_wrote_is_followed_as_far_as_it_goes() -> None:
    text = (
        "a pirate,\nat sea\nNegative prompt: hat,\nblur\n"
        "Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 123, "
        'Size: 512x768, Model hash: abc, Model: "x, y: z", Clip skip: 2, '
        'Lora hashes: "one: 1a, two: 2b", Version: v1.10.0'
    )
    request = request_like(with_text(text))
    assert request.prompt == "a pirate,\nat sea"
    assert request.negative_prompt == "hat,\nblur"
    assert (request.steps, request.guidance_scale, request.seed) == (28, 6.5, 123)
    assert (request.width, request.height, request.index) == (512, 768, 0)
    assert (request.scheduler, request.guided, request.avatar) == ("dpm++-karras", 1, None)
    assert request_like(with_text(text.replace("DPM++ 2M", "Euler a"))).scheduler is None


SETTINGS = "Steps: 3, Sampler: DDIM, CFG scale: 7.5, Seed: 9, Size: 32x32, Index: 0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no parameters: it was not made by lensa, or they were stripped"),
        ("just a prompt", "has no parameters"),
        ("Steps: 3", "has no parameters"),
        ("x" * 300_000, "has no parameters"),
        (f"x\n{SETTINGS}".replace("9", "-9"), "seed = '-9'"),
        (f"x\n{SETTINGS}".replace("Steps: 3", "Steps: " + "9" * 5000), "steps = "),
        (f"x\n{SETTINGS}".replace("Steps: 3", "Steps: many"), "steps = 'many'"),
        (f"x\n{SETTINGS}".replace("7.5", "nan"), "guidance_scale = 'nan'"),
        (f"x\n{SETTINGS}".replace("32x32", "100000x100000"), "width = '100000'"),
        (f"x\n{SETTINGS}".replace("32x32", "33x32"), "width = '33'"),
        (f"x\n{SETTINGS}, Avatar: ../../etc/passwd", "avatar = '../../etc/passwd'"),
        (f'x\n{SETTINGS}, Avatar: "s3://bucket/a"', "avatar = 's3://bucket/a'"),
        (f"x\n{SETTINGS}, Blend: nobody", "blend"),
        (f'x\n{SETTINGS}, Blend: "{OTHER}:inf"', "blend"),
        (f"x\n{SETTINGS}".replace("DDIM", "Wizard"), "sampler 'Wizard' is not known"),
        ("x" * 10_001 + f"\n{SETTINGS}", "prompt = 'x"),
        (f'x\n{SETTINGS}, Prompt: "\\ud800"', "prompt"),
        (f"x\n{SETTINGS}, Init image hash: ", "sha256 begins with"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        request_like(with_text(text))
    assert words in str(refusal.value)


def test_no_file_of_another_kind_is_read(tmp_path: Path) -> None:
    gif = tmp_path / "a.gif"
    Image.new("P", (32, 32)).save(gif)
    for path, words in [
        (gif, "is no PNG, JPEG or WebP"),
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "none.png", "cannot be read: No such file"),
        (Path(__file__), "is no PNG, JPEG or WebP"),
        ("a\0b", "damaged|cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=words):
            request_like(path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_file_is_refused_or_read_and_never_anything_else(format: ImageFormat) -> None:
    content = written(undrawn('say "hello", twice: "', "no\nhat"), 0, format)
    source = random.Random(1)
    for _ in range(300):
        damaged = bytearray(content[: source.randrange(1, len(content) + 1)])
        for _ in range(source.randrange(4)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        try:
            assert isinstance(request_like(answered(bytes(damaged), format)), GenerationRequest)
        except ConfigError as error:
            assert len(str(error)) < 500


def test_long_and_odd_settings_are_read_in_one_pass() -> None:
    """Each of these would take hours if it were gone over again for every character."""
    for piece in ("a", "a:", '"', 'a:"', 'a:"\\', ",", ": ,", " ", 'a: "b" c, '):
        text = f"x\n{SETTINGS}, " + piece * (150_000 // len(piece))
        assert request_like(with_text(text)).steps == 3
