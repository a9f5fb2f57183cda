"""Who is in the photos. Nothing of this is said where nobody looked for faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from math import dist
from statistics import median

from lensa.photos.finding import Finding
from lensa.photos.measure import Measured
from lensa.photos.traits.framing import CLOSE_UP, FULL_BODY, NO_FACE, UPPER_BODY

MIX = {CLOSE_UP: 12, UPPER_BODY: 5, FULL_BODY: 3}  # of 20 photos
OTHER_FACE, RIVAL = 0.35, 0.6  # of the height of the largest face
ANOTHER = 0.6  # distance of embeddings; the same person's are nearer


def people(photos: Sequence[Measured], hidden: Collection[str]) -> list[Finding]:
    """What is to be said of the people in photos of a person.

    `hidden` are photos of which it was said already why nobody can see a face in them.
    """
    looked = [photo for photo in photos if photo.faces is not None]
    found = _faceless(looked, hidden)
    for photo in looked:
        found += _others(photo)
    return [*found, *_odd_ones(looked), *_mix(looked)]


def mix(photos: Sequence[Measured]) -> dict[str, int]:
    """How many photos there are of each framing; empty if nobody looked."""
    counts = Counter(photo.framing for photo in photos if photo.framing is not None)
    if not counts:
        return {}
    kinds = [*MIX, *([NO_FACE] if counts[NO_FACE] else [])]
    return {kind: counts[kind] for kind in kinds}


def _faceless(photos: list[Measured], hidden: Collection[str]) -> list[Finding]:
    without = [photo.name for photo in photos if not photo.faces]
    if photos and len(without) > max(1, len(photos) // 2):
        return [
            Finding(
                "no_face",
                "advise",  # drawings have faces that detectors miss, and can be trained on
                tuple(without),
                f"no face was found in {len(without)} of {len(photos)} photos",
                "a person's avatar is learned from faces that look more or less into the camera",
                "add some with the face in full view; if it is no person, say --kind pet or object",
            )
        ]
    return [
        Finding(
            "no_face",
            "advise",
            (name,),
            "no face was found: turned away, covered, very small, or missed",
            "a photo without the face teaches clothes and places, not the person",
            "keep it if the face is in full view, and leave it out if not",
        )
        for name in without
        if name not in hidden
    ]


def _others(photo: Measured) -> list[Finding]:
    if not photo.faces or photo.face is None:
        return []
    largest = photo.face.height
    others = [f.height / largest for f in photo.faces if f is not photo.face]
    others = [share for share in others if share >= OTHER_FACE]
    if not others:
        return []
    count = len(others) + 1
    return [
        Finding(
            "other_people",
            "stop" if max(others) >= RIVAL else "advise",
            (photo.name,),
            f"{count} faces are in it",
            "the model cannot know which of them is meant, and mixes them",
            "cut the others away, or leave it out",
        )
    ]


def _odd_ones(photos: list[Measured]) -> list[Finding]:
    who = {
        photo.name: photo.face.embedding
        for photo in photos
        if photo.face is not None and photo.face.embedding is not None
    }
    if len(who) < 3:
        return []
    found = []
    for name, embedding in who.items():
        away = median(dist(embedding, other) for key, other in who.items() if key != name)
        if away > ANOTHER:
            found.append(
                Finding(
                    "other_person",
                    "stop",
                    (name,),
                    f"probably somebody else ({away:.2f} from the others, {ANOTHER} is the limit)",
                    "two people in one set become one avatar that is neither",
                    "leave it out, unless you know better: children and heavy make-up mislead",
                )
            )
    if len(found) > len(who) / 2:
        return [
            Finding(
                "other_person",
                "stop",
                tuple(finding.photos[0] for finding in found),
                "these photos show several people",
                "two people in one set become one avatar that is neither",
                "keep the photos of one person",
            )
        ]
    return found


def _mix(photos: list[Measured]) -> list[Finding]:
    counts = mix(photos)
    total = sum(counts.get(kind, 0) for kind in MIX)
    if total < 6:
        return []
    lacking = [kind for kind, of in MIX.items() if counts[kind] < total * of / 20 / 2]
    if not lacking:
        return []
    have = ", ".join(f"{counts[kind]} {kind}" for kind in MIX)
    want = ", ".join(f"{of} {kind}" for kind, of in MIX.items())
    return [
        Finding(
            "mix",
            "advise",
            (),
            f"too few photos are {' or '.join(lacking)} (there are {have})",
            "the model only draws well how near it has seen somebody",
            f"aim at {want} out of 20",
        )
    ]
