"""Where the subject goes in a prompt."""

from __future__ import annotations

import pytest
from making import draw, micro

from inference_entrypoint.prompts import place_subject


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", "a photo of ohwx person"),
        ("   ", "a photo of ohwx person"),
        ("{subject}", "ohwx person"),
        ("{subject} and {subject}", "ohwx person and ohwx person"),
        ("portrait of {subject}, oil painting", "portrait of ohwx person, oil painting"),
        ("a drawing of ohwx person", "a drawing of ohwx person"),
        ("OHWX on the moon", "OHWX on the moon"),
        ("a johwxy", "a photo of ohwx person, a johwxy"),  # inside a word is not the token
        ("as an astronaut", "a photo of ohwx person as an astronaut"),
        ("wearing a hat", "a photo of ohwx person wearing a hat"),
        ("In Paris", "a photo of ohwx person in Paris"),
        ("oil painting", "a photo of ohwx person, oil painting"),
        ("asian temple", "a photo of ohwx person, asian temple"),  # not "as"
        ("a {class_noun} with {subject}", "a person with ohwx person"),
        ("two\nlines\tand a bell \a", "a photo of ohwx person, two lines and a bell"),
        ("{other} braces", "a photo of ohwx person, {other} braces"),
    ],
)
def test_with_the_subject(prompt: str, expected: str) -> None:
    assert place_subject(prompt, subject="ohwx person", class_noun="person") == expected


@pytest.mark.parametrize(
    ("prompt", "noun", "expected"),
    [
        ("", "person", "a photo of a person"),
        ("a photo of {subject}", "person", "a photo of a person"),
        ("a photo of {subject}", "object", "a photo of an object"),
        ("a photo of a {subject}", "person", "a photo of a person"),
        ("The {subject} smiles", "dog", "The dog smiles"),
        ("a {class_noun} in Paris", "dog", "a dog in Paris"),
        ("oil painting", "person", "oil painting"),
    ],
)
def test_the_class_alone(prompt: str, noun: str, expected: str) -> None:
    placed = place_subject(prompt, subject=f"ohwx {noun}", class_noun=noun, named=False)
    assert placed == expected


def test_the_answer_tells_the_final_prompt() -> None:
    assert draw(micro(), "in Paris").prompts == ["a photo of ohwx person in Paris"]
    assert draw(micro(), "{subject} in Paris", subject=False).prompts == ["a person in Paris"]
