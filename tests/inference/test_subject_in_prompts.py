"""Where the subject goes in a prompt."""

from __future__ import annotations

import pytest
from making import draw, micro

from inference_entrypoint.prompts import place_subject
from lensa.contract.prompts import with_subject


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
    assert place_subject(prompt, subject="ohwx person", class_noun="person").prompt == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("me as an astronaut", "ohwx person as an astronaut"),
        ("Me, in oil", "ohwx person, in oil"),
        ("a photo of (me:1.2)", "a photo of (ohwx person:1.2)"),
        ("me and {subject}", "ohwx person and ohwx person"),
        ("a photo of Ada at sea", "a photo of ohwx person at sea"),
        ("ADA's hat, [ada]", "ohwx person's hat, [ohwx person]"),
        ("Ada   Lovelace, countess", "ohwx person, countess"),
        ("a photo of ada_lovelace", "a photo of ohwx person"),
        ("ohwx person, the adamant", "ohwx person, the adamant"),  # inside a word is no name
        ("ohwx and me", "ohwx and ohwx person"),
        ("half-ohwx, half-cat", "half-ohwx, half-cat"),
    ],
)
def test_what_the_user_calls_the_subject(prompt: str, expected: str) -> None:
    sent = with_subject(prompt, ["ada", "ada-lovelace", ""])  # by the client, which knows the name
    placed = place_subject(sent, subject="ohwx person", class_noun="person")
    assert (placed.prompt, placed.warnings) == (expected, [])


@pytest.mark.parametrize("prompt", ["a theme", "#me-too", "ME, Maine", "my hat", "I smile", "Adam"])
def test_what_is_not_the_subject(prompt: str) -> None:
    assert with_subject(prompt, ["ada"]) == prompt
    placed = place_subject(prompt, subject="ohwx person", class_noun="person")
    assert placed.prompt == f"a photo of ohwx person, {prompt}"


def test_a_name_is_no_pattern_and_no_letter() -> None:
    names = ["a+", "(b", "_", "-", "", "a"]
    assert with_subject("my, a+ - _ b", names) == "my, {subject} - _ b"


@pytest.mark.parametrize(
    ("prompt", "warns"),
    [
        ("oil painting", True),
        ("a castle at night", True),
        ("", False),
        ("as an astronaut", False),
        ("wearing a hat", False),
        ("Smiling, in oil", False),
        ("me in oil", False),
        ("{subject} in oil", False),
        ("a drawing of ohwx person", False),
    ],
)
def test_a_prompt_without_the_subject_is_told(prompt: str, warns: bool) -> None:
    warnings = place_subject(prompt, subject="ohwx person", class_noun="person").warnings
    assert warnings == warns * [
        "prompt: it did not name the subject, so 'a photo of ohwx person' was put in front: "
        "write {subject}, or me."
    ]


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
        ("me in Paris", "person", "a person in Paris"),
    ],
)
def test_the_class_alone(prompt: str, noun: str, expected: str) -> None:
    placed = place_subject(prompt, subject=f"ohwx {noun}", class_noun=noun, named=False)
    assert (placed.prompt, placed.warnings) == (expected, [])


def test_the_answer_tells_the_final_prompt() -> None:
    assert draw(micro(), "in Paris").prompts == ["a photo of ohwx person in Paris"]
    assert draw(micro(), "{subject} in Paris", subject=False).prompts == ["a person in Paris"]
    answer = draw(micro(), "oil painting")
    assert answer.prompts == ["a photo of ohwx person, oil painting"]
    assert "it did not name the subject" in answer.warnings[0]
