"""How words go on from a subject: the same for a style on the client and for a request served."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Words that go on from the subject: "a photo of ada in Paris", but "a photo of ada, red hat".
_GOING_ON = """
    about above across after against along amid among and around as at aboard before behind below
    beneath beside between beyond by down dressed during eating flying for from holding in inside
    into like near next on onto over past playing reading riding running sitting sleeping smiling
    standing surrounded swimming through toward towards under underneath up upon walking wearing
    while who with within without
"""
_GOES_ON = frozenset(_GOING_ON.split())


def with_subject(prompt: str, names: Sequence[str] = ()) -> str:
    """Return the prompt with `{subject}` for the word "me" and for names, in any case.

    A name of one letter is a word already, and is left alone; so is one behind an article: of a
    subject called "woman", "the woman" is another. "ada-lovelace" may be written with a space.
    """
    prompt = unicodedata.normalize("NFC", prompt)
    called = [
        re.split(r"[\s_-]+", unicodedata.normalize("NFC", name).strip(" _-"))
        for name in names
        if len(name) > 1
    ]
    # The longest first: of "Ada Lovelace" no part is to be left over.
    called.sort(key=lambda parts: -sum(map(len, parts)))
    patterns = ["[Mm]e", *("(?i:" + r"[\s_-]+".join(map(re.escape, p)) + ")" for p in called)]
    any_name = rf"(?<![\w{{-])(?:{'|'.join(patterns)})(?![\w}}-])"
    return re.sub(
        rf"(?P<other>\b(?i:an?|the|this|that|my|his|her|their)\s+{any_name})|{any_name}",
        lambda found: found["other"] or "{subject}",
        prompt,
    )


def joined(words: str) -> str:
    """Return the words with the space or comma that they need behind a subject."""
    if re.split(r"[\s,]", words, maxsplit=1)[0].lower() in _GOES_ON:
        return f" {words[0].lower()}{words[1:]}"
    return f", {words}"
