"""The subject put into a prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from lensa.contract import Concept
from lensa.contract.concepts import names
from lensa.contract.prompts import joined, with_subject

_ARTICLE = r"(?:\b(?:a|an|the|my|his|her|their|this|that|one)\s+)"


@dataclass(frozen=True)
class Placed:
    """A prompt with the subject in it, and what the user should know about that."""

    prompt: str
    warnings: list[str] = field(default_factory=list)


def place_subject(
    prompt: str,
    *,
    subject: str,
    class_noun: str,
    named: bool = True,
    others: Sequence[Concept] = (),
    style: bool = False,
) -> Placed:
    """Return the prompt with the subject in it.

    `subject` is "token noun", as in "ohwx person". `{subject}` and the word "me" become that;
    `{class_noun}` becomes the noun. A prompt that names it in neither way, nor by the token, gets
    "a photo of ohwx person" in front, and a warning unless it went on from there, as "wearing a
    hat" does. With `named=False` the token stays out: these become "a person".

    `others` are what the avatar learned beside the subject: `{subject2}`, or the concept's name.
    Of a `style` the words are the token alone; it goes behind a prompt that does not name it.
    """
    prompt = _with_others(clean(prompt).replace("{class_noun}", class_noun), subject, others, named)
    if named and names(prompt, subject.split()[0]):
        # As an image tells it: what it is made of again is to be the same, to the last "me".
        return Placed(prompt.replace("{subject}", subject))
    prompt = prompt if style else with_subject(prompt)
    if not named:
        return Placed(_anyone(prompt or "a photo of {subject}", class_noun))
    if "{subject}" in prompt:
        return Placed(prompt.replace("{subject}", subject))
    if any(names(prompt, other.token) for other in others):
        return Placed(prompt)
    if style:
        opening = f"{prompt}," if prompt else f"a {class_noun}"
        return Placed(f"{opening} in the style of {subject}")
    opening = f"a photo of {subject}"
    if not prompt:
        return Placed(opening)
    behind = joined(prompt)
    if not behind.startswith(","):
        return Placed(opening + behind)
    warning = (
        f"prompt: it did not name the subject, so '{opening}' was put in front: "
        "write {subject}, or me."
    )
    return Placed(opening + behind, [warning])


def place_subject_in(
    text: str, subject: str, class_noun: str, others: Sequence[Concept] = ()
) -> str:
    """Return a text that need not name the subject, such as a negative prompt, with it put in
    where it does."""
    text = with_subject(_with_others(text, subject, others)).replace("{class_noun}", class_noun)
    return text.replace("{subject}", subject)


def clean(text: str) -> str:
    """Return the text on one line, without control characters: no tokenizer has a word for one."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _with_others(prompt: str, subject: str, others: Sequence[Concept], named: bool = True) -> str:
    """Put the words of the other concepts for their numbers and names.

    Words that are there already, a token and its noun, stay as they are, whatever the names.
    """
    numbers = {"{subject1}": "{subject}"}
    called: dict[str, str] = {}
    for number, other in enumerate(others, start=2):
        words = other.subject if named else f"a {other.class_noun}"
        numbers[f"{{subject{number}}}"] = words
        if other.name is not None:
            called[other.name.lower()] = words
    there = [subject, *(other.subject for other in others)]
    # One pass, in which what was put in is not looked at again; the longest words first.
    names = "|".join(map(re.escape, sorted([*called, *there], key=len, reverse=True)))
    wanted = rf"(?:{'|'.join(map(re.escape, numbers))})|(?<![\w-])(?:{names})(?![\w-])"

    def put(match: re.Match[str]) -> str:
        text = match[0]
        return numbers.get(text) or called.get(text.lower(), text)

    return re.sub(wanted, put, prompt, flags=re.IGNORECASE)


def _anyone(prompt: str, noun: str) -> str:
    """Put "a person" for {subject}, or "person" where an article stands before it already."""
    article = "an" if noun[:1].lower() in "aeiou" else "a"
    prompt = re.sub(rf"({_ARTICLE}){{subject}}", rf"\g<1>{noun}", prompt, flags=re.IGNORECASE)
    return prompt.replace("{subject}", f"{article} {noun}")
