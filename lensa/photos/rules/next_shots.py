"""What to shoot next, in words that one can act on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lensa.photos.measure import Measured
from lensa.photos.rules.people import MIX, mix

_GOAL = 12  # photos, at least; the mix is scaled to what there is, up to 20
_MOST = 20


def next_shots(usable: Sequence[Measured], kind: str, codes: Collection[str]) -> tuple[str, ...]:
    """`usable` are the photos that do well, `codes` what was found in the whole set."""
    if kind == "style":
        missing = _GOAL - len(usable)
        return (f"{missing} pictures of other things in the same manner",) if missing > 0 else ()
    how = _how(codes)
    counts = mix(usable) if kind == "person" else {}
    if not counts:
        missing = max(0, _GOAL - len(usable))
        if not missing and how:
            missing = 3
        views = "from other sides" if kind != "person" else "of other views"
        return (_shot(missing, views, how),) if missing else ()
    goal = min(_MOST, max(_GOAL, len(usable)))
    shots: list[str] = []
    for framing, of in MIX.items():
        missing = round(goal * of / _MOST) - counts[framing]
        if missing > 0:
            shots.append(_shot(missing, framing, how, first=not shots))
    if not shots and how:
        shots.append(_shot(3, "upper body", how))
    return tuple(shots)


def _how(codes: Collection[str]) -> list[str]:
    words = {
        "same_background": "against another background",
        "same_clothes": "in other clothes",
        "same_light": "by a window or outdoors",
        "same_angle": "with the head turned a little",
        "one_session": "on another day",
    }
    return [text for code, text in words.items() if code in codes]


def _shot(count: int, which: str, how: list[str], first: bool = True) -> str:
    noun = "photo" if count == 1 else "photos"
    named = f"{count} {which.replace(' ', '-')} {noun}" if which in MIX else None
    words = [named or f"{count} {noun} {which}"]
    if "by a window or outdoors" not in how:
        words.append("in daylight")
    # All of it once is enough; the other lines stay short.
    return ", ".join([" ".join([*words, *how[:1]]), *(how[1:] if first else [])])
