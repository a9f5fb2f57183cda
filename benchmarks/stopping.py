"""Does a training on `mini` stop by itself in time, and is its avatar as good?

    OMP_NUM_THREADS=1 python benchmarks/stopping.py [--processes 2]
        [--out benchmarks/results/stopping.json]

Held-out subjects and seeds stand below and were fixed before the first run. Each pair is trained
twice through lensa's public way: by the fixed recipe (`early_stopping="off"`, nothing measured on
the way) and by default. What judges is not what selects: the default selects by the packaged CLIP;
the identity encoder and the attributes' classifier of `mini`, trained on other people, judge what
the finished avatars draw. One more subject has four bad photos. Every run is reported.

Class images are drawn once a seed and come from the cache after that: they are none of a
validation's computing then, and the tenth is a tenth of less. What is finished stays in mini's work
folder, below the revision of the weights and a digest of the recipe; an interrupted benchmark goes
on. Whoever changes the stopping rule removes the default's runs there (and `mini.dreambooth`'s).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from tqdm import tqdm

import lensa
import lensa_mini
from inference_entrypoint.avatars import load_avatar
from lensa.contract import BASES, GenerationRequest
from lensa.contract.names import digest
from mini.attributes import IDENTITY_FIELDS, STYLES, VALUES
from mini.classifier import load_classifier
from mini.dreambooth import draw
from mini.identity import Gallery, load_encoder
from mini.subjects import draw_photos, subject
from mini.train_vae import to_model
from mini.work import work_path

SUBJECTS = (8, 9, 10, 11, 12)  # held out; the model card's figures are of the eight before them
SEEDS = (0, 1)  # of the training, of the photos and of the images
PHOTOS = 8
BAD = 13  # whose four photos are bad
ARMS: dict[str, dict[str, Any]] = {
    "fixed": {"early_stopping": "off", "validation_every": 0},
    "default": {},
}
# Prompt, and what the classifier has to find in its image beside the subject.
PROBES: tuple[tuple[str, str, str], ...] = (
    ("a photo of {subject}, blue background", "background", "blue"),
    ("a photo of {subject}, white background", "background", "white"),
    ("a photo of {subject}, red background", "background", "red"),
    ("a photo of {subject} on the beach", "background", "beach"),
    ("a photo of {subject} in a forest", "background", "forest"),
    ("a photo of {subject} at sunset", "background", "sunset"),
    *((f"a {{subject}}, {style}", "style", style) for style in STYLES[1:]),
)
PORTRAITS = 6  # of them: the first, photos, by which likeness is judged
RESAMPLED = 2000
RESULT = Path(__file__).parent / "results" / "stopping.json"


@dataclass(frozen=True)
class Run:
    subject: int
    seed: int
    arm: str

    @property
    def name(self) -> str:
        return f"{self.subject:02d}-{self.seed}-{self.arm}"


RUNS = (
    *(Run(s, seed, arm) for seed in SEEDS for s in SUBJECTS for arm in ARMS),
    Run(BAD, 0, "default"),
)


def photos_of(run: Run) -> list[Image.Image]:
    """The photos of a run. Bad ones: two of other people, one blurred, one nearly black."""
    photos = draw_photos(run.subject, PHOTOS, seed=run.seed)
    if run.subject != BAD:
        return photos
    others = [draw_photos(BAD + n, 1, seed=run.seed)[0] for n in (1, 2)]
    blurred = photos[0].filter(ImageFilter.GaussianBlur(photos[0].width / 12))
    return [blurred, photos[1].point(lambda value: value // 8), *others]


def folder() -> Path:
    recipe = digest(BASES["mini"].recipe["lora"])[:8]
    return work_path("stopping") / f"{lensa_mini.REVISION}-{recipe}"


def perform(run: Run) -> None:
    """Train, draw the probes and keep what comes of it."""
    kept = folder() / f"{run.name}.npz"
    if kept.exists():
        return
    torch.set_num_threads(1)
    started = time.monotonic()
    avatar = lensa.Client(backend="local", home=folder() / "home").train(
        photos_of(run),
        subject=f"stopping-{run.name}",
        base="mini",
        seed=run.seed,
        tracker="none",
        anyway=True,  # the coach knows photos, and these are drawn
        on_event=lambda event: None,
        **ARMS[run.arm],
    )
    seconds = time.monotonic() - started
    drawer = load_avatar(avatar.path)
    images = draw(
        drawer.order(GenerationRequest(prompt=prompt, seed=run.seed * 1000 + number))
        for number, (prompt, _, _) in enumerate(PROBES)
    )
    choice = avatar.manifest.choice
    said = {
        "steps": avatar.manifest.steps_trained,
        "of": avatar.manifest.config.steps,
        "seconds": round(seconds, 1),  # as long as the machine took, with what else ran on it
        "choice": None if choice is None else choice.model_dump(mode="json"),
    }
    partial = kept.with_suffix(".tmp.npz")
    np.savez(partial, images=images, said=json.dumps(said))
    partial.rename(kept)


def perform_all(runs: list[Run], processes: int) -> None:
    """Do what is missing. Raises RuntimeError in the end if a run failed."""
    folder().mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    missing = [run for run in runs if not (folder() / f"{run.name}.npz").exists()]
    failed = []
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context) as pool,
        tqdm(total=len(runs), initial=len(runs) - len(missing), unit="run") as bar,
    ):
        waiting = {pool.submit(perform, run): run for run in missing}
        for done in as_completed(waiting):
            if error := done.exception():
                failed.append(waiting[done].name)
                tqdm.write(f"{waiting[done].name} failed: {error}")
            bar.update()
    if failed:
        raise RuntimeError(f"{len(failed)} runs failed ({', '.join(failed)}): run it again.")


class Judges:
    """Neither of them has seen a held-out person, or had a word in the training."""

    def __init__(self) -> None:
        encoder = load_encoder()
        self.encoder, self.gallery, self.classifier = encoder, Gallery(encoder), load_classifier()

    def judge(self, run: Run) -> dict[str, Any]:
        """What they say of a run's images."""
        kept = np.load(folder() / f"{run.name}.npz")
        images = kept["images"]
        read = self.classifier.predict(to_model(images))
        columns = list(VALUES)
        person = subject(run.subject)
        own = [
            (columns.index(name), VALUES[name].index(getattr(person, name)))
            for name in IDENTITY_FIELDS
        ]
        told = [
            read[number, columns.index(field)] == VALUES[field].index(value)
            for number, (_, field, value) in enumerate(PROBES)
        ]
        features = self.encoder.features(images[:PORTRAITS])
        return {
            "run": run.name,
            **json.loads(str(kept["said"])),
            "likeness": round(float((features @ self.gallery.centres[run.subject]).mean()), 4),
            "attributes": round(
                float(np.mean([read[:PORTRAITS, column] == value for column, value in own])), 4
            ),
            "retention": round(float(np.mean(told)), 4),
        }


def paired(rows: dict[str, dict[str, Any]], runs: list[Run], what: str) -> dict[str, float]:
    """The default less the fixed recipe, with the interval of 95% of the subjects resampled."""
    subjects = sorted({run.subject for run in runs})
    gains = np.array(
        [
            np.mean(
                [
                    rows[Run(s, seed, "default").name][what]
                    - rows[Run(s, seed, "fixed").name][what]
                    for seed in SEEDS
                    if Run(s, seed, "default") in runs
                ]
            )
            for s in subjects
        ]
    )
    random = np.random.default_rng(0)
    means = gains[random.integers(len(gains), size=(RESAMPLED, len(gains)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {
        "value": round(float(gains.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def summary(rows: dict[str, dict[str, Any]], runs: list[Run]) -> dict[str, Any]:
    """What the issue asks for, of the pairs that are there."""
    pairs = [run for run in runs if run.arm == "default" and run.subject != BAD]
    shares = [rows[run.name]["steps"] / rows[run.name]["of"] for run in pairs]
    costs = [
        rows[run.name]["choice"]["validation_share"] for run in pairs if rows[run.name]["choice"]
    ]
    return {
        "pairs": len(pairs),
        "median_share_of_steps": round(statistics.median(shares), 4),
        "most_validation_share": max(costs, default=None),
        "gain": {
            what: paired(rows, pairs, what) for what in ("likeness", "attributes", "retention")
        },
        "bad_photos": rows.get(Run(BAD, 0, "default").name),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["run            steps   exported  likeness  attributes  retention  validations"]
    for row in rows.values():
        choice = row["choice"] or {"step": row["steps"], "validation_share": None}
        share = choice["validation_share"]
        lines.append(
            f"{row['run']:<14}{row['steps']:>4}/{row['of']:<4}{choice['step']:>7}"
            f"{row['likeness']:>11.3f}{row['attributes']:>11.2f}{row['retention']:>11.2f}"
            f"{'' if share is None else f'{share:.1%}':>12}"
        )
    return "\n".join(lines)


def plot(rows: dict[str, dict[str, Any]], runs: list[Run], file: Path) -> None:
    """Steps, likeness and retention: a line a pair, from the fixed recipe to the default."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pairs = [run for run in runs if run.arm == "default" and run.subject != BAD]
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for axis, what in zip(axes, ("steps", "likeness", "retention"), strict=True):
        for run in pairs:
            fixed = rows[Run(run.subject, run.seed, "fixed").name][what]
            axis.plot([0, 1], [fixed, rows[run.name][what]], marker="o", color="#3b7dd8", alpha=0.6)
        axis.set_xticks([0, 1], ["fixed recipe", "stops by itself"])
        axis.set_xlim(-0.3, 1.3)
        axis.set_title({"steps": "steps trained"}.get(what, what), loc="left")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(bottom=0)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--subjects", type=int, nargs="*", help="of them these alone, to try it")
    parser.add_argument("--seeds", type=int, nargs="*", help="the same")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    runs = [
        run
        for run in RUNS
        if (args.subjects is None or run.subject in args.subjects)
        and (args.seeds is None or run.seed in args.seeds)
    ]
    perform_all(runs, args.processes)
    judges = Judges()
    rows = {run.name: judges.judge(run) for run in runs}
    print(table(rows))
    result: dict[str, Any] = {"revision": lensa_mini.REVISION, "runs": list(rows.values())}
    if any(run.subject != BAD for run in runs):
        result = {"revision": lensa_mini.REVISION, **summary(rows, runs), **result}
        plot(rows, runs, args.out.with_suffix(".png"))
    print(json.dumps({name: value for name, value in result.items() if name != "runs"}, indent=2))
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
