"""`Measure`: the images of a validation into a Measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lensa.contract import Interval, Layout, Measurement, TrainingConfig
from training_entrypoint.images import Crop, image_files, read_photo
from training_entrypoint.measuring import distances, likeness, memorisation, retention
from training_entrypoint.measuring.drift import drift
from training_entrypoint.measuring.embedders import Embedder, Looking
from training_entrypoint.measuring.faces import Faces
from training_entrypoint.measuring.probes import Probe

Drawn = Sequence[tuple[Probe, Image.Image]]

_NO_CONTEXT = (
    "no retention: no validation prompt says more than what is learned, as 'a photo of {subject} "
    "on a beach' does"
)
_NO_WAY = "no class drift: to the embedder the class is as near as the photos are"
ASIDES = {_NO_CONTEXT, _NO_WAY}  # why something is not measured, where nothing is wrong


@dataclass(frozen=True)
class _Features:
    """Of the images of one step, by their probes' names: what is seen, and what is read."""

    seen: Mapping[str, Tensor]
    read: Mapping[str, Tensor]


class Measure:
    """Holds what every step is measured by: the photos' features, the class images', and those of
    the base's own images, once `refer` has seen them."""

    def __init__(
        self, config: TrainingConfig, layout: Layout, looking: Looking, classes: Sequence[Path] = ()
    ) -> None:
        """Look at the photos, each as it is learned from: its middle square. `classes` are the
        files of the class images. Needs an embedder for images."""
        assert looking.images is not None
        self._config, self._texts = config, looking.texts
        self._embedder: Embedder = looking.images
        self._photos = {
            number: self._of_files(image_files(layout.photos_of(number)))
            for number in range(1, len(config.every_concept) + 1)
        }
        self._ceilings = {
            number: likeness.ceiling(photos) for number, photos in self._photos.items()
        }
        self._classes = self._of_files(list(classes)) if classes else None
        self._base: _Features | None = None

    @property
    def name(self) -> str:
        """Whose features they are."""
        return self._embedder.name

    @property
    def blind(self) -> bool:
        """Whether it sees nothing in any photo, as no face."""
        return not any(len(likeness.known(photos)) for photos in self._photos.values())

    def refer(self, drawn: Drawn) -> None:
        """Take what the base drew, at step 0, for what all later steps are held against."""
        self._base = self._features(drawn)

    def measure(self, step: int, drawn: Drawn) -> Measurement:
        """Return what the images of a step show; what cannot be told is None, with a note."""
        now, probes = self._features(drawn), [probe for probe, _ in drawn]
        if step == 0:
            self._base = now
        notes: list[str] = []
        subjects = [probe for probe in probes if probe.role == "subject"]
        values = {
            "likeness": self._likeness(now, subjects, notes),
            "likeness_floor": self._floor(subjects, notes),
            "likeness_ceiling": self._ceiling(subjects, notes),
            "retention": self._retention(now, subjects, notes),
            **self._memorisation(now, subjects),
            "class_drift": self._drift(now, [p for p in probes if p.role == "class"], notes),
            **self._distances(now, notes),
        }
        numbers = {name: _number(name, value, notes) for name, value in values.items()}
        return Measurement(step=step, embedder=self.name, notes=tuple(notes), **numbers)

    def _likeness(self, now: _Features, subjects: list[Probe], notes: list[str]) -> float | None:
        each = [self._to_photos(now.seen[probe.name], probe) for probe in subjects]
        if blind := sum(not now.seen[probe.name].isfinite().all() for probe in subjects):
            what = "no face" if isinstance(self._embedder, Faces) else "nothing to measure"
            notes.append(f"{what} in {blind} of {len(subjects)} validation images")
        return likeness.mean(each)

    def _floor(self, subjects: list[Probe], notes: list[str]) -> float | None:
        if self._base is None:
            notes.append("no floor: the base's own images, of step 0, are not there any more")
            return None
        seen = self._base.seen
        there = [probe for probe in subjects if probe.name in seen]
        return likeness.mean([self._to_photos(seen[probe.name], probe) for probe in there])

    def _ceiling(self, subjects: list[Probe], notes: list[str]) -> float | None:
        shown = sorted({number for probe in subjects for number in probe.concepts})
        for number in shown:
            if self._ceilings[number] is None:
                count = len(likeness.known(self._photos[number]))
                subject = self._config.every_concept[number - 1].subject
                what = "a single photo" if count else "no photo that shows it"
                notes.append(f"no ceiling of {subject!r}: there is {what} to compare with")
        return likeness.mean([self._most(probe) for probe in subjects])

    def _retention(self, now: _Features, subjects: list[Probe], notes: list[str]) -> float | None:
        scores: list[tuple[float, float]] = []  # now, and the base's own
        for probe in subjects:
            if probe.context is None or self._texts is None:
                continue
            own = None if self._base is None else self._base.read.get(f"plain-{probe.name}")
            if own is None:
                notes.append(f"the base's own image of {probe.context!r} is not there any more")
                continue
            (text,) = self._texts.texts([probe.context])
            now_read = now.read[probe.name]
            scores.append((retention.score(now_read, text), retention.score(own, text)))
        if not any(probe.context for probe in subjects):
            notes.append(_NO_CONTEXT)
        if not scores:
            return None
        share = retention.retention(scores)
        if share is None:
            notes.append("no retention: the base itself does not draw what the prompts say")
        return share

    def _memorisation(self, now: _Features, subjects: list[Probe]) -> dict[str, float | None]:
        found = []
        for number, photos in self._photos.items():
            showing = [now.seen[p.name] for p in subjects if number in p.concepts]
            near = memorisation.nearest(torch.stack(showing), photos) if showing else None
            if near is not None:
                found.append((near, memorisation.memorisation(near, photos)))
        ratios = [ratio for _, ratio in found if ratio is not None]
        return {
            "nearest_photo": max((near for near, _ in found), default=None),
            "memorisation": max(ratios, default=None),
        }

    def _drift(self, now: _Features, classes: list[Probe], notes: list[str]) -> float | None:
        if self._base is None or not classes:  # said of the floor; a style has no class
            return None
        before = self._base.seen
        gone = likeness.mean(
            [
                drift(
                    self._to_photos(before[probe.name], probe),
                    self._to_photos(now.seen[probe.name], probe),
                    self._most(probe),
                )
                for probe in classes
                if probe.name in before
            ]
        )
        if gone is None:
            notes.append(_NO_WAY)
        return gone

    def _distances(self, now: _Features, notes: list[str]) -> dict[str, Interval | None]:
        if self._classes is None:
            return {}
        seed = self._config.seed
        images = torch.stack([row for name, row in now.seen.items() if "plain" not in name])
        found = {"kid": distances.kid(images, self._classes, seed)}
        if self._config.early_stopping == "fid":
            found["fid"] = distances.fid(images, self._classes, seed)
        if found["kid"] is None:
            notes.append("no FID or KID: they need two images and two class images at least")
        return found

    def _to_photos(self, image: Tensor, probe: Probe) -> float | None:
        return likeness.mean([likeness.to_photos(image, self._photos[n]) for n in probe.concepts])

    def _most(self, probe: Probe) -> float | None:
        return likeness.mean([self._ceilings[number] for number in probe.concepts])

    def _features(self, drawn: Drawn) -> _Features:
        names, images = [probe.name for probe, _ in drawn], [image for _, image in drawn]
        seen = dict(zip(names, self._embedder.images(images), strict=True))
        if self._texts is None or self._texts is self._embedder:
            return _Features(seen, seen)
        return _Features(seen, dict(zip(names, self._texts.images(images), strict=True)))

    def _of_files(self, files: list[Path]) -> Tensor:
        size = self._config.resolution
        images = [Crop().of(read_photo(file).convert("RGB"), size) for file in files]
        return self._embedder.images(images)


def _number(name: str, value: Any, notes: list[str]) -> Any:
    """Return a value to be written down; None, with a note, for what is no number."""
    if isinstance(value, float):
        if math.isfinite(value):
            return round(value, 6)
        notes.append(f"{name} is not a number")
        return None
    return value
