r"""Emphasis: `(word:1.3)` in a prompt, as AUTOMATIC1111's web UI reads it, into texts with weights.

    (word:1.3)   counts 1.3 times; any number from 0 to 3
    (word)       counts 1.1 times
    [word]       counts 1/1.1 times
    \( \) \[ \]  are brackets that are meant, and \\ a backslash

Brackets nest: their weights multiply. What does not close is refused: a weight that silently
reached to the end of the prompt would be found in the pictures, if at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import NoReturn

from lensa.errors import ConfigError

MAX_WEIGHT = 3.0

_STEP = 1.1  # what a pair of brackets is worth
_TOKEN = re.compile(r"\\[\\()\[\]]|[()\[\]:]|[^\\()\[\]:]+|\\")
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*")
_CLOSES = {")": "(", "]": "["}


@dataclass(frozen=True)
class Fragment:
    """Text that counts `weight` times."""

    text: str
    weight: float


@dataclass
class _Bracket:
    kind: str
    position: int  # in the prompt
    first: int  # of the parts inside
    colon: tuple[int, int] | None = None  # the last one inside: its position, and its part


def fragments(prompt: str, *, field: str = "prompt") -> list[Fragment]:
    """Return the prompt's texts in order, brackets taken off; neighbours differ in weight.

    Without emphasis that is the prompt as it is, in one fragment. Raises ConfigError, naming
    `field` and the place, for a bracket without its other half and for a weight that is no number
    from 0 to 3.
    """
    parts: list[tuple[str, float]] = []
    open_: list[_Bracket] = []
    for match in _TOKEN.finditer(prompt):
        token, position = match.group(), match.start()
        if token in "([":
            open_.append(_Bracket(token, position, len(parts)))
        elif token in ")]":
            _close(prompt, position, open_, parts, field)
        else:
            if token == ":" and open_:
                open_[-1].colon = (position, len(parts))
            parts.append((token[1:] if len(token) == 2 and token[0] == "\\" else token, 1.0))
    if open_:
        kind, position = open_[-1].kind, open_[-1].position
        _refuse(field, rf"'{kind}' at character {position + 1} is never closed; write \{kind}")
    return [
        Fragment("".join(text for text, _ in run), _checked(weight, field))
        for weight, run in groupby(parts, key=lambda part: round(part[1], 6))
    ]


def plain(prompt: str) -> str:
    """Return the prompt without the syntax of emphasis. Raises ConfigError as `fragments` does."""
    return "".join(fragment.text for fragment in fragments(prompt))


def _close(
    prompt: str, end: int, open_: list[_Bracket], parts: list[tuple[str, float]], field: str
) -> None:
    """Weigh the parts since the last bracket, which the one at `end` closes."""
    kind = prompt[end]
    if not open_:
        _refuse(field, rf"'{kind}' at character {end + 1} closes nothing; write \{kind}")
    bracket = open_.pop()
    if bracket.kind != _CLOSES[kind]:
        _refuse(
            field,
            f"'{kind}' at character {end + 1} does not close the '{bracket.kind}' at character "
            rf"{bracket.position + 1}; write \{kind}",
        )
    if kind == "]":
        weight = 1 / _STEP
        if bracket.colon and _NUMBER.fullmatch(prompt, bracket.colon[0] + 1, end):
            raise ConfigError(
                f"generation: {field}: '[' at character {bracket.position + 1} takes no number; "
                "write (word:0.5)."
            )
    elif bracket.colon is None:
        weight = _STEP
    else:
        colon, part = bracket.colon
        weight = _number(prompt[colon + 1 : end], colon, field)
        del parts[part:]
    parts[bracket.first :] = [(text, by * weight) for text, by in parts[bracket.first :]]


def _number(text: str, colon: int, field: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match and 0 <= float(match.group(1)) <= MAX_WEIGHT:
        return float(match.group(1))
    shown = text.strip() if len(text) <= 20 else f"{text.strip()[:20]}..."
    raise ConfigError(
        f"generation: {field}: {shown!r} after the ':' at character {colon + 1} is no weight; "
        rf"write a number from 0 to {MAX_WEIGHT:g}, or \( and \) for brackets that are meant."
    )


def _checked(weight: float, field: str) -> float:
    if not weight <= MAX_WEIGHT:  # of infinite nesting times nothing: NaN
        raise ConfigError(
            f"generation: {field}: nested brackets come to a weight of {weight:.3g}; "
            f"the most is {MAX_WEIGHT:g}."
        )
    return weight


def _refuse(field: str, problem: str) -> NoReturn:
    raise ConfigError(f"generation: {field}: {problem} for a bracket that is meant.")
