"""Figures 2 to 5: is it the same person, and what did learning it cost the base model?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from diffusers import StableDiffusionPipeline

import lensa
from mini import dreambooth
from mini.attributes import IDENTITY_FIELDS, SKINS, STYLES, VALUES
from mini.dreambooth import PROBES, RUNS, SEEDS, SUBJECTS, Run
from mini.efficientnet import cosines
from mini.evidence import (
    Evidence,
    Way,
    evidence,
    matches,
    numbers,
    others_of,
    places,
    rounded,
    runs_of,
    share,
    told,
    way,
)
from mini.identity import GALLERY
from mini.prompt_following import TARGETS, visible
from mini.subjects import subject

METHODS = ("lora", "full")
STYLE_COLUMN = list(VALUES).index("style")


def subject_figure(pipeline: StableDiffusionPipeline) -> dict[str, Any]:
    """Figure 2: `identity_share`, `control_share` and rank-1 identification, LoRA and full."""
    found = evidence(pipeline)
    result: dict[str, Any] = {
        "to_reach": {"identity_share": 0.6, "control_share": 0.15, "rank_1_share": 0.5},
        "runs": sum(len(runs_of(method)) for method in METHODS),
        "images_a_run": len(places(RUNS[0], "scene", "style")),
        "encoder": encoder_figure(found),
    }
    for method in METHODS:
        runs = runs_of(method)
        ways = [way(found, run, "scene") for run in runs]
        control = [way(found, run, "scene", others_of(run)) for run in runs]
        result[method] = {
            "identity_share": told(ways),
            "control_share": told(control),
            "by_attribute": by_attribute(ways),
            "by_skin": by_skin(ways),
            "by_run": {one.run.name: round(share([one]), 4) for one in ways},
            "rank_1": rank_1(found, runs),
            "efficientnet_cosine": cosines(pipeline, runs),
        }
    result["real_renders"] = round(
        float(np.nanmean([matches(found.real[i], i) for i in SUBJECTS])), 4
    )
    result["raw"] = {
        "order": list(VALUES),
        "subjects": {i: values(i) for i in SUBJECTS},
        "read": {run.name: rows.tolist() for run, rows in found.read.items()},
        "nearest": {run.name: row.tolist() for run, row in found.nearest.items()},
        "base_read": {seed: rows.tolist() for seed, rows in found.base_read.items()},
        "base_nearest": {seed: row.tolist() for seed, row in found.base_nearest.items()},
        "real": {i: rows.tolist() for i, rows in found.real.items()},
        "restored": {i: rows.tolist() for i, rows in found.restored.items()},
        "real_nearest": {i: row.tolist() for i, row in found.real_nearest.items()},
        "restored_nearest": {i: row.tolist() for i, row in found.restored_nearest.items()},
    }
    return result


def values(number: int) -> list[str]:
    identity = subject(number)
    return [getattr(identity, name) for name in IDENTITY_FIELDS]


def by_attribute(ways: Sequence[Way]) -> dict[str, dict[str, float]]:
    result = {}
    for k, name in enumerate(IDENTITY_FIELDS):
        one = [Way(w.run, w.base[[k]], w.avatar[[k]], w.ceiling[[k]]) for w in ways]
        kinds = ("base", "avatar", "ceiling")
        means = {kind: float(np.nanmean([getattr(w, kind) for w in one])) for kind in kinds}
        result[name] = rounded({"share": share(one), **means})
    return result


def by_skin(ways: Sequence[Way]) -> dict[str, dict[str, float]]:
    result = {}
    for skin in SKINS:
        own = [w for w in ways if subject(w.run.subject).skin == skin]
        if own:
            result[skin] = rounded({"share": share(own), "runs": len(own)})
    return result


def rank_1(found: Evidence, runs: Sequence[Run]) -> dict[str, Any]:
    """By style, how often the nearest of 20 people is the one who was asked for; and the mean over
    the styles as a share of what real renders reach."""
    styles = [probe.style for probe in PROBES]
    hits: dict[str, list[bool]] = {style: [] for style in STYLES}
    floor: dict[str, list[bool]] = {style: [] for style in STYLES}
    for run in runs:
        for i in places(run, "scene", "style"):
            hits[styles[i]].append(bool(found.nearest[run][i] == run.subject))
            floor[styles[i]].append(bool(found.base_nearest[run.seed][i] == run.subject))
    avatar = {style: float(np.mean(one)) for style, one in hits.items()}
    mean = statistics.mean(avatar.values())
    ceiling = statistics.mean(encoder_rates(found.real_nearest).values())
    base = statistics.mean(float(np.mean(one)) for one in floor.values())
    return {**rounded({"mean": mean, "share": mean / ceiling, "base": base}),
            "by_style": rounded(avatar)}  # fmt: skip


def encoder_rates(nearest: dict[int, np.ndarray]) -> dict[str, float]:
    right = np.stack([row.reshape(len(STYLES), -1) == number for number, row in nearest.items()])
    return {style: float(right[:, k].mean()) for k, style in enumerate(STYLES)}


def encoder_figure(found: Evidence) -> dict[str, Any]:
    """Rank-1 of real renders of the subjects (the ceiling), and of their reconstructions."""
    return {
        "people": len(GALLERY),
        "chance": 1 / len(GALLERY),
        "ceiling": rounded(encoder_rates(found.real_nearest)),
        "autoencoder": rounded(encoder_rates(found.restored_nearest)),
    }


def prior_figure(pipeline: StableDiffusionPipeline) -> dict[str, Any]:
    """Figure 3: `class_drift`, with prior preservation and without, and what prompts lost."""
    found = evidence(pipeline)
    result: dict[str, Any] = {
        "to_reach": {"class_drift": 0.1, "times_without": 3.0, "prompt_accuracy_fall": 0.06},
    }
    kinds = {
        "lora": runs_of("lora"),
        "full": runs_of("full"),
        "lora_without_prior": runs_of("lora", prior=False),
    }
    for name, runs in kinds.items():
        before = statistics.mean(accuracy(found.base_read[s], numbers(runs[0], "described"))
                                 for s in SEEDS)  # fmt: skip
        after = statistics.mean(accuracy(found.read[r], places(r, "described")) for r in runs)
        result[name] = {
            "class_drift": told([way(found, run, "class") for run in runs]),
            "prompt_accuracy": rounded({"base": before, "after": after, "fall": before - after}),
        }
    drift = {name: result[name]["class_drift"]["share"] for name in kinds}
    # Of nothing or less no multiple can be told: then the drift with it counts as one in a hundred.
    result["times_without"] = round(drift["lora_without_prior"] / max(drift["lora"], 0.01), 2)
    return result


def accuracy(readings: np.ndarray, rows: Sequence[int]) -> float:
    """The mean over figure 1's attributes of how many of the described images are as described."""
    labels = np.array([probe.labels for probe in PROBES if probe.kind == "described"])
    columns = {name: k for k, name in enumerate(VALUES)}
    right = readings[rows] == labels
    return statistics.mean(
        float(right[visible(name, labels), columns[name]].mean()) for name in TARGETS
    )


def style_figure(pipeline: StableDiffusionPipeline) -> dict[str, Any]:
    """Figure 4: `style_share`, style accuracy for the subject over the base model's own."""
    found = evidence(pipeline)
    result: dict[str, Any] = {"to_reach": {"style_share": 0.9}}
    for method in METHODS:
        runs = runs_of(method)

        def accuracy_of(wanted: Callable[[Any], bool], runs: list[Run] = runs) -> dict[str, float]:
            asked = [p for p in PROBES if p.kind == "style" and wanted(p)]
            rows = [p.number for p in asked]  # with prior preservation all probes are drawn
            styles = [STYLES.index(p.style) for p in asked]
            after = np.mean([found.read[r][rows, STYLE_COLUMN] == styles for r in runs])
            base = np.mean([found.base_read[s][rows, STYLE_COLUMN] == styles for s in SEEDS])
            share = float(after / base) if base else float("nan")
            return rounded({"share": share, "after": float(after), "base": float(base)})

        result[method] = {
            "style_share": accuracy_of(lambda probe: True),
            "short_prompts": accuracy_of(lambda probe: probe.short),
            "by_style": {
                style: accuracy_of(lambda probe, style=style: probe.style == style)
                for style in STYLES[1:]
            },
        }
    return result


def speed_figure(pipeline: StableDiffusionPipeline) -> dict[str, Any]:
    """Figure 5: `train_seconds` of the runs, of which two went on at once, one core each; and
    `gallery_seconds`, eight images of an endpoint on this machine, three times."""
    evidence(pipeline)
    result: dict[str, Any] = {"to_reach": {"train_seconds": 120, "gallery_seconds": 10}}
    for method in METHODS:
        costs = [dreambooth.load_cost(run) for run in runs_of(method)]
        seconds = [cost["seconds"] for cost in costs if cost["seconds"] == cost["seconds"]]
        result[method] = {
            "train_seconds": round(statistics.median(seconds), 1),
            "longest": round(max(seconds), 1),
            "steps_trained": statistics.median(cost["steps"] for cost in costs),
            "step_exported": statistics.median(cost["exported"] for cost in costs),
            "of_runs": len(seconds),
        }
    home = dreambooth.folder(RUNS[0]) / "home"
    avatar = lensa.Client(backend="local", home=home).avatar(f"run-{RUNS[0].name}")
    galleries = []
    with avatar.deploy(on_event=lambda event: None) as endpoint:
        for seed in range(3):
            started = time.monotonic()
            endpoint.generate("a photo of {subject}, smiling", count=8, seed=seed)
            galleries.append(round(time.monotonic() - started, 2))
    return {**result, "gallery_seconds": max(galleries), "galleries": galleries}
