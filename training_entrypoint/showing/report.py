"""`report.html`: how an avatar came about, in one page that is read offline.

Everything in it that is not ours is escaped; pictures are in the page itself.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from lensa.contract.environment import HOURLY
from lensa.contract.measures import Interval, Measurement
from training_entrypoint.showing.gathering import Shown
from training_entrypoint.showing.pictures import data_uri, small
from training_entrypoint.showing.template import PAGE
from training_entrypoint.tracking.public import public

_PHOTO, _SAMPLE = 96, 512  # pixels at most
_SMALL = 128  # an image below that is shown in whole pixels: nothing is invented

_MEASURED = {
    "step": "step",
    "likeness": "likeness",
    "likeness_floor": "its floor",
    "likeness_ceiling": "its ceiling",
    "retention": "retention",
    "memorisation": "memorisation",
    "class_drift": "class drift",
    "fid": "FID",
    "kid": "KID",
}
_MAIN_SETTINGS = (
    "base",
    "method",
    "kind",
    "token",
    "class_noun",
    "steps",
    "learning_rate",
    "batch_size",
    "resolution",
    "prior_preservation",
    "early_stopping",
    "seed",
)


def report(shown: Shown, curves: str) -> str:
    """Return the page. `curves` is an SVG of ours, or nothing."""
    from jinja2 import Environment
    from markupsafe import Markup

    settings = {name: _said(value) for name, value in public(shown.manifest.config).items()}
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    return page.render(
        **_heading(shown),
        curves=Markup(curves),  # noqa: S704 - matplotlib's, of our figures
        table=_table(shown.measurements, shown.chosen),
        strip=_strip(shown),
        samples=_samples(shown),
        notices=list(dict.fromkeys(shown.notices)),
        photos_line=_photos_line(shown),
        photos=_photos(shown),
        cost=_cost(shown),
        settings=[(name, settings[name]) for name in _MAIN_SETTINGS if name in settings],
        all_settings=sorted(settings.items()),
        versions=sorted(shown.manifest.versions.items()),
    )


def _heading(shown: Shown) -> dict[str, Any]:
    manifest, choice = shown.manifest, shown.manifest.choice
    config = manifest.config
    about = (
        f"Avatar {manifest.avatar}: {config.kind}, {config.method} on {_base(shown)}, trained "
        f"{manifest.trained_at:%Y-%m-%d %H:%M} UTC."
    )
    if choice is None:
        headline = f"Trained {manifest.steps_trained} of {config.steps} steps"
        return {"title": manifest.avatar, "headline": headline, "about": about}
    headline = f"Step {choice.step} of {choice.of} was exported"
    if choice.trained < choice.of:
        headline += f"; it stopped at {choice.trained}"
    return {
        "title": manifest.avatar,
        "headline": headline,
        "reason": choice.reason,
        "warning": choice.warning,
        "about": about,
    }


def _base(shown: Shown) -> str:
    return str(public(shown.manifest.config)["base"])


def _table(measurements: Iterable[Measurement], chosen: int | None) -> dict[str, Any]:
    every = list(measurements)
    fields = [name for name in _MEASURED if any(getattr(each, name) is not None for each in every)]
    rows = [
        {
            "cells": [_figure(getattr(each, name)) for name in fields],
            "exported": each.step == chosen,
        }
        for each in every
    ]
    notes = [f"Features of images by {name}." for name in sorted({each.embedder for each in every})]
    notes += dict.fromkeys(note for each in every for note in each.notes)
    return {"heads": [_MEASURED[name] for name in fields], "rows": rows, "notes": notes}


def _figure(value: float | Interval | None) -> str:
    if value is None:
        return ""
    if isinstance(value, Interval):
        return f"{value.value:.3g} ({value.low:.3g} to {value.high:.3g})"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _strip(shown: Shown) -> dict[str, Any]:
    prompts = shown.manifest.sample_prompts
    steps = [{"number": step, "exported": step == shown.chosen} for step in shown.strip]
    most = max((len(images) for images in shown.strip.values()), default=0)
    rows = []
    for number in range(most):
        prompt = prompts[number] if number < len(prompts) else ""
        images = [
            _picture(images[number], f"{prompt}, step {step}") | {"exported": step == shown.chosen}
            for step, images in shown.strip.items()
            if number < len(images)
        ]
        rows.append({"prompt": prompt, "images": images})
    return {"steps": steps, "rows": rows}


def _samples(shown: Shown) -> list[dict[str, str]]:
    prompts = shown.manifest.sample_prompts
    found = []
    for number, file in enumerate(shown.samples):
        image = small(file, _SAMPLE)
        if image is not None:
            found.append(_picture(image, prompts[number] if number < len(prompts) else ""))
    return found


def _picture(image: Image.Image, alt: str) -> dict[str, str]:
    kind = "small" if max(image.size) < _SMALL else ""
    return {"uri": data_uri(image), "alt": alt, "kind": kind}


def _photos_line(shown: Shown) -> str:
    count = len(shown.manifest.photo_digests)
    return f"{count} {'photo' if count == 1 else 'photos'}, each with the begin of its sha256."


def _photos(shown: Shown) -> list[dict[str, str]]:
    """The photos as they were learned; one that is gone by now has its digest alone."""
    files: list[Path | None] = [*shown.photos]
    files += [None] * (len(shown.manifest.photo_digests) - len(files))
    found = []
    for number, digest in enumerate(shown.manifest.photo_digests):
        file = files[number]
        image = None if file is None else small(file, _PHOTO)
        uri = "" if image is None else data_uri(image, quality=70)
        found.append({"uri": uri, "alt": f"photo {number + 1}", "digest": digest[:12]})
    return found


def _cost(shown: Shown) -> list[tuple[str, str]]:
    journal, manifest = shown.journal, shown.manifest
    rows = [("loading, training and validating", _duration(journal.seconds))]
    if drawing := sum(each.seconds for each in shown.measurements):
        share = None if manifest.choice is None else manifest.choice.validation_share
        counted = "" if share is None else f", {share:.1%} of the computing"
        rows.append(("of it validating", _duration(drawing) + counted))
    rows.append(("steps", f"{manifest.steps_trained} of {manifest.config.steps}"))
    if speed := [value for _, value in journal.curve("images_per_second")]:
        rows.append(("speed", f"{sorted(speed)[len(speed) // 2]:.3g} images/s, median"))
    if memory := [value for _, value in journal.curve("memory_gb")]:
        rows.append(("memory", f"{max(memory):.2f} GB at most"))
    if shown.machine:
        rows.append(("machine", shown.machine))
    hourly = _hourly()
    if hourly is None:
        rows.append(("price", "not known here"))
    else:
        dollars = journal.seconds / 3600 * hourly
        what = "without the container's start and its end; spot costs less"
        rows.append(("price", f"${dollars:.2f} at ${hourly:g} an hour on demand, {what}"))
    return rows


def _hourly() -> float | None:
    """Return the dollars an hour that whoever started the job says; None if nobody does."""
    try:
        hourly = float(os.environ.get(HOURLY, ""))
    except ValueError:
        return None
    return hourly if 0 <= hourly < math.inf else None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
