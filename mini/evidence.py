"""What the judges read in the images of `mini.dreambooth`, and how far it is from the base model.

The classifier reads attributes, the identity encoder says who it is; neither has seen a held-out
person. A *share of the way* is 0 at the base model's answer to the same prompt with the same noise,
and 1 at real renders of the subject that went through the autoencoder. Shares are ratios of sums
over all runs; their intervals resample the subjects (a bootstrap of 2,000, 95%).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from diffusers import StableDiffusionPipeline
from tqdm import tqdm

from mini import dreambooth
from mini.attributes import IDENTITY_FIELDS, STYLES, VALUES
from mini.classifier import load_classifier
from mini.dreambooth import RUNS, SEEDS, SUBJECTS, Run, probes_of
from mini.generating import round_trip
from mini.identity import Gallery, load_encoder, photos_of, renders_of
from mini.persons import IDENTITY_COLUMNS
from mini.subjects import subject
from mini.train_vae import to_model

RENDERS = 24  # real photos of a subject, from which its ceiling is read
STYLE_RENDERS = 4  # of each style, for the encoder's ceiling
SEED = 1002  # of both: no training and no gallery has these


@dataclass(frozen=True)
class Evidence:
    """Everything that the judges read, by run, by seed of the base's answers, by subject."""

    read: dict[Run, np.ndarray]  # (probes, attributes)
    nearest: dict[Run, np.ndarray]  # (probes,): a number of the gallery
    base_read: dict[int, np.ndarray]
    base_nearest: dict[int, np.ndarray]
    real: dict[int, np.ndarray]  # (RENDERS, attributes)
    restored: dict[int, np.ndarray]  # the same after the autoencoder
    real_nearest: dict[int, np.ndarray]  # (styles x STYLE_RENDERS,)
    restored_nearest: dict[int, np.ndarray]


@functools.cache
def evidence(pipeline: StableDiffusionPipeline) -> Evidence:
    """Do the runs that are missing, and read all of their images."""
    dreambooth.perform_all()
    judge, gallery = load_classifier(), Gallery(load_encoder())

    def attributes(images: np.ndarray) -> np.ndarray:
        return judge.predict(to_model(images))

    found = Evidence({}, {}, {}, {}, {}, {}, {}, {})
    for run in tqdm(RUNS, desc="read"):
        images = dreambooth.load_images(run)
        found.read[run], found.nearest[run] = attributes(images), gallery.nearest(images)
    for seed in SEEDS:
        images = dreambooth.load_images(seed)
        found.base_read[seed] = attributes(images)
        found.base_nearest[seed] = gallery.nearest(images)
    for number in tqdm(SUBJECTS, desc="real renders"):
        photos = photos_of(number, RENDERS, SEED)
        found.real[number] = attributes(photos)
        found.restored[number] = attributes(round_trip(pipeline, photos))
        renders = renders_of(number, STYLES, STYLE_RENDERS, SEED)
        found.real_nearest[number] = gallery.nearest(renders)
        found.restored_nearest[number] = gallery.nearest(round_trip(pipeline, renders))
    return found


def runs_of(method: str, *, prior: bool = True) -> list[Run]:
    return [run for run in RUNS if run.method == method and run.prior == prior]


def others_of(run: Run) -> list[Run]:
    """The control: trainings on other people's photos by the same recipe, asked for this person. A
    LoRA's are as long as each of these people took (272 to 544 steps)."""
    return [
        other
        for other in runs_of(run.method)
        if other.seed == run.seed and other.subject != run.subject
    ]


def places(run: Run, *kinds: str) -> list[int]:
    """Where the images of these kinds are among the run's."""
    return [i for i, probe in enumerate(probes_of(run)) if probe.kind in kinds]


def numbers(run: Run, *kinds: str) -> list[int]:
    """Where they are among the base's, which answers every probe."""
    return [probe.number for probe in probes_of(run) if probe.kind in kinds]


def matches(readings: np.ndarray, who: int) -> np.ndarray:
    """The share of the readings (N, attributes) that say what subject `who` looks like, by fixed
    attribute; NaN for the hair colour of a shaven bald head."""
    identity = subject(who)
    wanted = [VALUES[name].index(getattr(identity, name)) for name in IDENTITY_FIELDS]
    share = (readings[:, IDENTITY_COLUMNS] == wanted).mean(0)
    if identity.hair_style == "bald" and identity.facial_hair == "none":
        share[IDENTITY_FIELDS.index("hair_colour")] = np.nan
    return share


@dataclass(frozen=True)
class Way:
    """Of one run, by fixed attribute: the base's matches, the avatar's, and the real renders'."""

    run: Run
    base: np.ndarray
    avatar: np.ndarray
    ceiling: np.ndarray


def lengths(ways: Sequence[Way]) -> np.ndarray:
    """How far the avatars came and how far it was, summed: (2,)."""
    pairs = [(w.avatar - w.base, w.ceiling - w.base) for w in ways]
    return np.array([[np.nansum(one) for one in pair] for pair in pairs]).reshape(-1, 2).sum(0)


def share(ways: Sequence[Way]) -> float:
    """How far the avatars came, of the whole way."""
    done, whole = lengths(ways)
    return float(done / whole)


def told(ways: Sequence[Way]) -> dict[str, Any]:
    """The share, its interval, and the mean matches that it was made of."""
    people = np.array([lengths([w for w in ways if w.run.subject == i]) for i in SUBJECTS])
    drawn = np.random.default_rng(0).integers(len(people), size=(2000, len(people)))
    done, whole = people[drawn].sum(1).T
    low, high = np.percentile(done / whole, (2.5, 97.5))
    means = {
        kind: float(np.nanmean([getattr(way, kind) for way in ways]))
        for kind in ("base", "avatar", "ceiling")
    }
    return rounded({"share": share(ways), "low": low, "high": high, **means})


def way(found: Evidence, run: Run, kind: str, drawn_by: Sequence[Run] | None = None) -> Way:
    """The way of a run's images of one kind; or of those `drawn_by` other people's avatars."""
    drawn = [matches(found.read[one][places(one, kind)], run.subject) for one in drawn_by or [run]]
    base = matches(found.base_read[run.seed][numbers(run, kind)], run.subject)
    return Way(run, base, np.mean(drawn, axis=0), matches(found.restored[run.subject], run.subject))


def rounded(figures: dict[str, Any]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in figures.items()}
