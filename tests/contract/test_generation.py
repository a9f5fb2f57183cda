"""GenerationRequest: what it leaves open is its quality's and the base model's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lensa.contract import BASES, GenerationRequest
from lensa.contract.generation import QUALITIES
from lensa.contract.prompts import with_subject
from lensa.errors import ConfigError

ADA, BOB = "lensa-7k2m0000-1f3a9c2e", "lensa-7k2m0001-1f3a9c2e"


def test_what_is_not_said_suits_the_base() -> None:
    request = GenerationRequest(prompt="x", steps=9)
    assert request.suited_to(BASES["mini"]).guidance_scale == BASES["mini"].guidance_scale
    assert request.suited_to(BASES["sd15"]).guidance_scale == 7.5
    assert request.suited_to(BASES["sd15"]).steps == 9


def test_a_quality_is_steps_a_solver_and_how_long_there_is_guidance() -> None:
    asked = {
        quality: GenerationRequest(prompt="x", quality=quality).suited_to(BASES["sd15"])
        for quality in QUALITIES
    }
    steps = [asked[quality].steps for quality in ("draft", "standard", "best")]
    assert steps == sorted(steps) and len(set(steps)) == 3
    assert asked["standard"] == GenerationRequest(prompt="x").suited_to(BASES["sd15"])
    assert asked["best"].guided == 1.0
    assert {request.scheduler for request in asked.values()} == {"dpm++-karras"}


def test_what_is_said_wins_over_the_quality() -> None:
    request = GenerationRequest(prompt="x", quality="best", scheduler="euler", guided=0.25, steps=3)
    suited = request.suited_to(BASES["mini"])
    assert (suited.scheduler, suited.guided, suited.steps) == ("euler", 0.25, 3)
    assert suited.suited_to(BASES["sd15"]) == suited  # twice is once


@pytest.mark.parametrize("body", ["", "nope", "[]", '{"prompt": 3}', '{"prompt": "x", "steps": 0}'])
def test_what_is_no_request_is_a_config_error(body: str) -> None:
    with pytest.raises(ConfigError, match=r"^generation: "):
        GenerationRequest.model_validate_json(body)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"count": 0}, "count = 0"),
        ({"count": 10_000}, "count = 10000"),
        ({"width": 1, "height": 1}, "width = 1.*\n.*height = 1"),
        ({"width": 100_000}, "width = 100000"),
        ({"height": 65}, "height = 65: .*multiple of 8"),
        ({"guidance_scale": float("nan")}, "guidance_scale = nan"),
        ({"prompt": "x" * 1_000_000}, "prompt = .*10000 characters"),
        ({"avatar": "../../etc/passwd"}, "avatar = '../../etc/passwd'"),
        ({"avatar": "s3://bucket/avatars/ada"}, "avatar = 's3://"),
        ({"blend": {"https://example.org/a": 1.0}}, "blend"),
        ({"blend": {BOB: 3}}, "blend.*less than or equal to 2"),
        ({"avatar": ADA, "blend": {ADA: 0.5}}, "mixes .* into itself"),
        ({"strength": 0.5}, "strength is given without an image"),
        ({"image": "x", "strength": 0}, "strength = 0"),
        ({"scheduler": "lcm", "steps": 60}, "lcm takes 50 at most"),
        ({"index": 2**31 - 1, "count": 2}, "leaves no room"),
        ({"prompt": "(" * 661 + "a" + ":3)" * 660 + ":0)"}, "weight of nan"),
        ({"x" * 100_000: 1}, "unknown field 'x{57}\\.\\.\\.'"),
        ({"prompt": "a (red hat"}, r"prompt: '\(' at character 3 is never closed"),
        ({"negative_prompt": "hat)"}, "negative_prompt: .* closes nothing"),
        ({"prompt": "(hat:99)"}, "no weight"),
        ({"scheduler": "magic"}, "scheduler = 'magic'"),
        ({"quality": "ultra"}, "quality = 'ultra'"),
        ({"guided": 2}, "guided = 2"),
        ({"seed": -1}, "seed = -1"),
        ({"index": -1}, "index = -1"),
        ({"cuont": 3}, "unknown field 'cuont'.*count"),
    ],
)
def test_bad_fields_are_one_error_that_names_them(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)generation: .*{says}"):
        GenerationRequest(**{"prompt": "x", **fields})


def test_whoever_sends_mistakes_by_the_thousand_is_told_of_some() -> None:
    with pytest.raises(ConfigError) as told:
        GenerationRequest(prompt="x", **{f"field-{number}": 1 for number in range(5000)})
    lines = str(told.value).splitlines()
    assert len(lines) == 21 and lines[-1] == "generation: and 4,980 more."


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({f"field-{number}": 1 for number in range(20_000)}, "it has 20,001 entries"),
        ({"blend": {str(number): 1 for number in range(20_000)}}, "blend has 20,000 entries"),
        ({"prompt": [1] * 20_000}, "prompt has 20,000 entries"),
    ],
)
def test_what_has_too_many_parts_is_not_looked_at(fields: dict[str, Any], says: str) -> None:
    text = json.dumps({"prompt": "x", **fields})
    with pytest.raises(ConfigError, match=f"^generation: {says}, 10,000 are read.$"):
        GenerationRequest.model_validate_json(text)


@pytest.mark.parametrize(
    ("prompt", "becomes"),
    [
        ("Ada as an astronaut", "{subject} as an astronaut"),
        ("a photo of ADA, at sea", "a photo of {subject}, at sea"),
        ("Ada's hat", "{subject}'s hat"),
        ("an adage, Adam and ada-like", "an adage, Adam and ada-like"),
        ("me at sea, with theme-me and Me", "{subject} at sea, with theme-me and {subject}"),
        ("{subject} with (ada:1.2)", "{subject} with ({subject}:1.2)"),
        ("a portrait of the Ada in me", "a portrait of the Ada in {subject}"),  # behind an article
        ("", ""),
    ],
)
def test_the_subjects_name_stands_for_the_subject_and_stays_here(prompt: str, becomes: str) -> None:
    assert with_subject(prompt, ["ada"]) == becomes


def test_a_name_is_known_however_its_letters_are_composed() -> None:
    composed, apart = "j\u00fcrgen", "Ju\u0308rgen at sea"
    assert with_subject(apart, [composed]) == "{subject} at sea"


def test_a_few_step_lora_takes_the_qualitys_place() -> None:
    suited = GenerationRequest(prompt="x", quality="best", few_step="hyper-8").suited_to(
        BASES["sd15"]
    )
    assert (suited.steps, suited.scheduler, suited.guidance_scale) == (8, "ddim-trailing", 1.0)
