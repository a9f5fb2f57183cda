"""kind="style": a manner of drawing, with a token and no noun, from photos to prompts."""

from __future__ import annotations

from pathlib import Path

import pytest
from inference.making import make_avatar
from training.running import make_job

from inference_entrypoint.avatars import load_avatar
from inference_entrypoint.prompts import place_subject
from lensa.contract import BASES, GenerationRequest, preset
from lensa.errors import BaseModelError
from lensa.photos.rules.next_shots import next_shots


@pytest.mark.parametrize(
    ("prompt", "placed"),
    [
        ("a house by a lake", "a house by a lake, in the style of ohwx"),
        ("a house in the style of {subject}", "a house in the style of ohwx"),
        ("OHWX, a boat", "OHWX, a boat"),
        ("follow me", "follow me, in the style of ohwx"),
        ("", "a picture in the style of ohwx"),
    ],
)
def test_a_prompt_that_does_not_name_it_gets_it_behind(prompt: str, placed: str) -> None:
    words = {"subject": "ohwx", "class_noun": "picture", "style": True}
    found = place_subject(prompt, **words)  # type: ignore[arg-type]
    assert (found.prompt, found.warnings) == (placed, [])
    assert place_subject(placed, **words).prompt == placed  # type: ignore[arg-type]


def test_it_is_trained_and_drawn_as_it_was_validated(tmp_path: Path) -> None:
    recipe = preset("style", "lora", BASES["micro"])
    words = ("class_noun", "instance_prompt", "class_prompt", "prior_preservation")
    job = make_job(tmp_path, kind="style", steps=1, **{word: recipe[word] for word in words})
    job.run()
    assert job.manifest.sample_prompts == ("a photo of ohwx",)
    avatar = load_avatar(job.layout.model)
    drawn = avatar.generate(GenerationRequest(prompt="a boat", steps=1, seed=1))
    assert drawn.prompts == ["a boat, in the style of ohwx"]


@pytest.mark.parametrize(("kind", "looked_at"), [("style", True), ("person", True), ("pet", False)])
def test_what_is_drawn_in_a_style_is_looked_at_for_safety(
    tmp_path: Path, kind: str, looked_at: bool
) -> None:
    base = BASES["micro"].model_copy(update={"safety_checker": str(tmp_path / "none")})
    avatar = load_avatar(make_avatar(tmp_path / "avatar", kind=kind, base=base))
    request = GenerationRequest(prompt="a boat", steps=1, seed=1)
    if not looked_at:
        assert avatar.generate(request).images
        return
    with pytest.raises(BaseModelError):
        avatar.generate(request)


def test_the_coach_asks_for_other_pictures_and_not_for_other_sides() -> None:
    (asked,) = next_shots([], "style", [])
    assert asked == "12 pictures of other things in the same manner"
