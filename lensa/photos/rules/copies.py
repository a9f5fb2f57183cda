"""Photos that add nothing to another one: copies, near copies, mirrored ones, bursts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from lensa.photos.finding import Finding
from lensa.photos.measure import Measured
from lensa.photos.traits.likeness import correlation, distance
from lensa.photos.traits.palette import alike

# Correlation of 32 x 32 pixels; distances of 256 bits only rule pairs out, for speed.
SAME, SAME_DISTANCE = 0.995, 40
NEAR, NEAR_DISTANCE = 0.95, 90
MIRRORED = 0.98
BURST_SECONDS, BURST_ALIKE = 3.0, 0.70


def copies(photos: Sequence[Measured], flawed: Collection[str] = ()) -> list[Finding]:
    """One finding for each group of photos that are one picture; a pair is named once. The one to
    keep is not one of the `flawed`, if there is another."""
    told: set[frozenset[str]] = set()
    found = []
    for code, related, words in (
        ("duplicate", _same, "the same picture"),
        ("mirrored", _mirrored, "the same picture, mirrored"),
        ("burst", _burst, "taken in one go"),
        ("near_duplicate", _near, "nearly the same picture"),
    ):
        for group in _groups(photos, related, told):
            best = min(
                group,
                key=lambda photo: (
                    photo.name in flawed,
                    photo.blur or 0.0,
                    -photo.width * photo.height,
                ),
            )
            names = tuple(photo.name for photo in group)
            found.append(
                Finding(
                    code,
                    "advise",
                    names,
                    f"{_listed(names)} are {words}",
                    _WHY[code],
                    f"keep one of them ({best.name} is the best)",
                )
            )
    return found


_AGAIN = "it counts as often as it is there, and the model learns that picture by heart"
_WHY = {
    "duplicate": _AGAIN,
    "near_duplicate": _AGAIN,
    "burst": _AGAIN,
    "mirrored": "a face has a left and a right side; mirrored, it is somebody else's",
}


def _listed(names: tuple[str, ...]) -> str:
    shown = names if len(names) <= 4 else (*names[:3], f"{len(names) - 3} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _same(first: Measured, second: Measured) -> bool:
    if distance(first.print, second.print) > SAME_DISTANCE:
        return False
    return correlation(first.print, second.print) >= SAME


def _near(first: Measured, second: Measured) -> bool:
    if distance(first.print, second.print) > NEAR_DISTANCE:
        return False
    return correlation(first.print, second.print) >= NEAR


def _mirrored(first: Measured, second: Measured) -> bool:
    if distance(first.print, second.print, mirrored=True) > NEAR_DISTANCE:
        return False
    across = correlation(first.print, second.print, mirrored=True)
    return across >= MIRRORED and across > correlation(first.print, second.print) + 0.005


def _burst(first: Measured, second: Measured) -> bool:
    if first.taken is None or second.taken is None:
        return False
    apart = first.taken.replace(tzinfo=None) - second.taken.replace(tzinfo=None)
    if abs(apart.total_seconds()) > BURST_SECONDS:
        return False
    if first.background is not None and second.background is not None:
        return alike(first.background, second.background) >= BURST_ALIKE
    return correlation(first.print, second.print) >= BURST_ALIKE


def _groups(
    photos: Sequence[Measured],
    related: Callable[[Measured, Measured], bool],
    told: set[frozenset[str]],
) -> list[list[Measured]]:
    """The groups of photos that are related, directly or through others."""
    groups: list[list[Measured]] = []
    for photo in photos:
        near = [
            group
            for group in groups
            if any(
                frozenset((photo.name, other.name)) not in told and related(photo, other)
                for other in group
            )
        ]
        groups = [group for group in groups if group not in near]
        groups.append([*(other for group in near for other in group), photo])
    groups = [group for group in groups if len(group) > 1]
    for group in groups:
        told |= {frozenset((a.name, b.name)) for a in group for b in group}
    order = {photo.name: place for place, photo in enumerate(photos)}
    return [sorted(group, key=lambda photo: order[photo.name]) for group in groups]
