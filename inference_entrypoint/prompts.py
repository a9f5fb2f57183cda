"""The subject put into a prompt."""

from __future__ import annotations

import re

from lensa.contract.prompts import joined

_ARTICLE = r"(?:\b(?:a|an|the|my|his|her|their|this|that|one)\s+)"


def place_subject(prompt: str, *, subject: str, class_noun: str, named: bool = True) -> str:
    """Return the prompt with the subject in it.

    `subject` is "token noun", as in "ohwx person". `{subject}` becomes that, and `{class_noun}`
    the noun. A prompt that names neither `{subject}` nor the token gets "a photo of ohwx person" in
    front. With `named=False` the token stays out: `{subject}` becomes "a person".
    """
    prompt = clean(prompt).replace("{class_noun}", class_noun)
    if not named:
        return _anyone(prompt or "a photo of {subject}", class_noun)
    if "{subject}" in prompt:
        return prompt.replace("{subject}", subject)
    token = subject.split()[0]
    if re.search(rf"(?<!\w){re.escape(token)}(?!\w)", prompt, re.IGNORECASE):
        return prompt
    if not prompt:
        return f"a photo of {subject}"
    return f"a photo of {subject}{joined(prompt)}"


def clean(text: str) -> str:
    """Return the text on one line, without control characters: no tokenizer has a word for one."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _anyone(prompt: str, noun: str) -> str:
    """Put "a person" for {subject}, or "person" where an article stands before it already."""
    article = "an" if noun[:1].lower() in "aeiou" else "a"
    prompt = re.sub(rf"({_ARTICLE}){{subject}}", rf"\g<1>{noun}", prompt, flags=re.IGNORECASE)
    return prompt.replace("{subject}", f"{article} {noun}")
