"""Sets of photos with what the coach should find in each, drawn at random from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from photos.coach import flaws
from photos.coach.scenes import (
    CLOSE_UP,
    UPPER_BODY,
    Place,
    background,
    framings,
    person,
    some_place,
)
from photos.sets import CHELSEA, augmented
from PIL import Image
from skimage import data

from lensa.photos.coach import Report
from mini.drawing import draw
from mini.subjects import photo_pictures

SIZE = 256  # of the model that the sets are judged for
COPIES = ("duplicate", "near_duplicate", "mirrored", "burst")
SETWIDE = ("same_background", "same_clothes", "same_light", "one_session", "mix")
_START = datetime(2026, 5, 1, 10, 0, 0)

Label = tuple[str, frozenset[str]]  # a code, and the photo, the photos that are one, or nothing
Flaw = Callable[[Image.Image, random.Random], Image.Image]
FLAWS: dict[str, Flaw] = {
    "blurred": flaws.blurred,
    "dark": flaws.dark,
    "blown_out": flaws.blown_out,
    "low_contrast": flaws.low_contrast,
    "small": flaws.small,
    "border": flaws.border,
    "text": flaws.text,
    "screenshot": flaws.screenshot,
}


@dataclass
class Labelled:
    kind: str
    source: str  # composed, drawn or cat
    photos: dict[str, Image.Image] = field(default_factory=dict)
    taken: dict[str, datetime] = field(default_factory=dict)
    expected: set[Label] = field(default_factory=set)
    open: set[str] = field(default_factory=set)  # codes that nobody can say of this set


def labelled_sets(seed: int, count: int) -> Iterator[Labelled]:
    """`count` sets of 10 to 13 photos: half composed, a third drawn, the others of a cat."""
    for index in range(count):
        rng = random.Random(f"{seed} {index}")
        make = (_composed, _drawn, _composed, _cat, _composed, _drawn)[index % 6]
        made = make(rng)
        _spoil(made, rng)
        _copy(made, rng)
        made.photos = {
            name: flaws.recompressed(photo, rng.randint(82, 95))
            for name, photo in made.photos.items()
        }
        yield made


def labels(report: Report) -> set[Label]:
    """What the coach found, in the same form."""
    found: set[Label] = set()
    for finding in report.findings:
        if finding.code in COPIES:
            found.add((finding.code, frozenset(finding.photos)))
        elif not finding.photos:
            found.add((finding.code, frozenset()))
        else:
            found |= {(finding.code, frozenset([name])) for name in finding.photos}
    return found


def _composed(rng: random.Random) -> Labelled:
    made = Labelled("person", "composed", open={"same_angle"})
    first = some_place(rng, rng.randrange(9))
    one_background, one_suit, one_light = (rng.random() < 0.4 for _ in range(3))
    only_close = rng.random() < 0.4
    offset = rng.randrange(9)
    for index, framing in enumerate(framings(10)):
        place = some_place(rng, offset + index)
        place = Place(
            first.background if one_background else place.background,
            first.suit if one_suit else place.suit,
            *_light_of(first if one_light else place),
        )
        made.photos[f"{index}.jpg"] = person(rng, place, CLOSE_UP if only_close else framing)
    _label(made, "same_background", one_background)
    _label(made, "same_clothes", one_suit and not only_close)  # a close-up shows a collar
    _label(made, "same_light", one_light)
    _label(made, "mix", only_close)
    two, none = rng.sample(range(10), 2)
    if rng.random() < 0.5:
        made.photos[f"{two}.jpg"] = person(rng, some_place(rng, two), UPPER_BODY, count=2)
        made.expected.add(("other_people", frozenset([f"{two}.jpg"])))
    if rng.random() < 0.5:
        made.photos[f"{none}.jpg"] = background(rng, none, (400, 400))
        made.expected.add(("no_face", frozenset([f"{none}.jpg"])))
    _times(made, rng)
    return made


def _light_of(place: Place) -> tuple[float, float, float]:
    return place.brightness, place.warmth, place.from_left


def _drawn(rng: random.Random) -> Labelled:
    made = Labelled("person", "drawn")
    pictures = photo_pictures(rng.randrange(100), 10, seed=rng.randrange(1000))
    one_background, one_light = rng.random() < 0.4, rng.random() < 0.4
    for index, picture in enumerate(pictures):
        if one_background:
            picture = replace(picture, background=pictures[0].background)
        if one_light:
            picture = replace(picture, light=pictures[0].light)
        made.photos[f"{index}.jpg"] = draw(picture, 480)
    _label(made, "same_background", one_background)
    made.open |= {"same_light", "same_clothes", "low_contrast"}  # the subject is flat colours
    _times(made, rng)
    return made


def _cat(rng: random.Random) -> Labelled:
    made = Labelled("pet", "cat", open={"same_light", "near_duplicate"})
    whole = Image.fromarray(data.chelsea()).crop(CHELSEA)
    whole = whole.resize((480, 480), Image.Resampling.LANCZOS)
    for index, photo in enumerate(augmented(whole, 10, seed=rng.randrange(1000))):
        made.photos[f"{index}.jpg"] = photo
    _label(made, "same_background", True)
    _times(made, rng)
    return made


def _label(made: Labelled, code: str, holds: bool) -> None:
    if holds:
        made.expected.add((code, frozenset()))


def _times(made: Labelled, rng: random.Random) -> None:
    session = rng.random() < 0.3
    for index, name in enumerate(made.photos):
        step = timedelta(minutes=2) if session else timedelta(days=1, hours=rng.randrange(9))
        made.taken[name] = _START + index * step
    _label(made, "one_session", session)


def _spoil(made: Labelled, rng: random.Random) -> None:
    """Three of the photos that are still good."""
    used = {name for code, names in made.expected for name in names}
    names = rng.sample([name for name in made.photos if name not in used], 3)
    for name, code in zip(names, rng.sample(sorted(FLAWS), 3), strict=True):
        made.photos[name] = FLAWS[code](made.photos[name], rng)
        made.expected.add((code, frozenset([name])))
        if code == "screenshot":
            made.expected.add(("text", frozenset([name])))


def _copy(made: Labelled, rng: random.Random) -> None:
    """Copies of up to three others; a copy of a burst is taken a second later."""
    used = {name for code, names in made.expected for name in names}
    free = [name for name in made.photos if name not in used]
    codes = rng.sample(COPIES, rng.randint(0, min(3, len(free))))
    for name, code in zip(rng.sample(free, len(codes)), codes, strict=True):
        changed: Flaw = {
            "duplicate": flaws.duplicate,
            "near_duplicate": flaws.near_duplicate,
            "mirrored": flaws.mirrored,
            "burst": flaws.moment_later,
        }[code]
        new = f"{code} of {name}"
        made.photos[new] = changed(made.photos[name], rng)
        later = timedelta(seconds=1) if code == "burst" else timedelta(minutes=1)
        made.taken[new] = made.taken[name] + later
        made.expected.add((code, frozenset([name, new])))
