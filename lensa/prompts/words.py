"""How the user's words go into a style's prompt."""

from __future__ import annotations

import re

from lensa.contract.prompts import joined
from lensa.errors import suggest

_KNOWN = ("{subject}", "{class_noun}", "{prompt}")


def check_template(template: str) -> None:
    """Raise ValueError, saying what to change, if it is not a template for `fill`."""
    for placeholder in re.findall(r"\{[^{}]*\}", template):
        if placeholder not in _KNOWN:
            raise ValueError(f"prompt has {placeholder}.{suggest(placeholder, _KNOWN)}")
    for placeholder in ("{subject}", "{prompt}"):
        if template.count(placeholder) != 1:
            raise ValueError(f"prompt needs {placeholder} once, where it belongs.")
    if template.index("{subject}") > template.index("{prompt}"):
        raise ValueError("prompt needs {subject} before {prompt}.")


def fill(template: str, words: str) -> str:
    """Return the template with the user's words in place of `{prompt}`, `{subject}` left in.

    Words that name the subject themselves take the place of everything before them as well.
    """
    words = " ".join(words.split()).strip(" ,.;")
    start, end = template.split("{prompt}")
    if "{subject}" in words:
        start = ""
    elif words:
        words = joined(words)
    return _tidy(start.rstrip(" ,") + words + end)


def _tidy(prompt: str) -> str:
    """Remove what an empty part leaves behind: double spaces, commas with nothing between."""
    prompt = " ".join(prompt.split())
    return re.sub(r"\s*,(\s*,)*", ",", prompt).strip(" ,")
