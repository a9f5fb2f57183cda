"""The trainings of figures 2 to 5: which they are, and how each is run, kept and gone on with.

    OMP_NUM_THREADS=1 python -m mini.dreambooth      train and draw all that is missing

Subjects, seeds and prompts stand here, and were fixed before the first run. Every run goes through
lensa's public way on one machine (`lensa.Client`, base "mini", the default recipe) and is drawn
with what an endpoint draws with. What is finished stays in the work folder, below the revision of
the weights: an interrupted evaluation goes on, and other weights begin anew.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import lensa
import lensa_mini
from inference_entrypoint.avatars import load_avatar
from inference_entrypoint.bases import load_base
from inference_entrypoint.batching import Batcher
from inference_entrypoint.modes import evaluating
from inference_entrypoint.order import Order, Result
from lensa.contract import BASES, GenerationRequest, Layout
from lensa.contract.names import digest
from mini.attributes import STYLES, to_indices, values_of
from mini.captions import describe
from mini.draw import picture_at
from mini.subjects import draw_photos
from mini.work import work_path

SUBJECTS = range(8)  # the first eight held-out people; every skin tone is among them
SEEDS = (0, 1)  # of the training, of the photos and of the images
PHOTOS = 8  # of each subject
DESCRIBED_SEED = 3  # of the held-out pictures that are described; figure 1 has others
BATCH = 8  # images that are drawn together

NEW_SCENES = (
    "a photo of {subject}, wearing a red hoodie, blue background",
    "a photo of {subject}, wearing a suit, in a forest",
    "a photo of {subject}, smiling, wearing a white t-shirt, green background",
    "a photo of {subject} as an astronaut, night sky background",
    "a photo of {subject}, laughing, wearing a black sweater, yellow background",
    "a photo of {subject} as a chef, white background",
    "a photo of {subject}, surprised, wearing a blazer, on the beach",
    "a photo of {subject}, wearing purple overalls, at sunset",
)
STYLED = (
    "a {subject}, {style}",
    "a photo of {subject}, {style}, smiling, wearing a green hoodie, grey background",
)
CLASS_PROMPT = "a photo of a person"


@dataclass(frozen=True)
class Run:
    """One training."""

    subject: int
    seed: int
    method: str = "lora"
    prior: bool = True

    @property
    def name(self) -> str:
        return f"{self.subject:02d}-{self.seed}-{self.method}" + ("" if self.prior else "-no-prior")


@dataclass(frozen=True)
class Probe:
    """One image that every avatar draws."""

    kind: str  # scene, style, class or described
    prompt: str
    style: str = "photo"
    short: bool = False  # a style and nothing else
    labels: tuple[int, ...] = ()  # of what is described
    number: int = 0  # its place among PROBES: the image begins with noise of its own

    @property
    def of_subject(self) -> bool:
        return self.kind in ("scene", "style")


def _described() -> list[Probe]:
    values = [values_of(picture_at(i, DESCRIBED_SEED, held_out=True)) for i in range(8)]
    return [
        Probe("described", describe(one), one["style"], labels=tuple(to_indices(one)))
        for one in values
    ]


RUNS = tuple(
    Run(subject, seed, method, prior)
    for seed in SEEDS
    for subject in SUBJECTS
    for method, prior in (("lora", True), ("full", True), ("lora", False))
    if prior or seed == SEEDS[0]
)
_EVERY = (
    *(Probe("scene", prompt) for prompt in NEW_SCENES),
    *(
        Probe("style", prompt.replace("{style}", style), style, short=prompt is STYLED[0])
        for style in STYLES[1:]
        for prompt in STYLED
    ),
    *(Probe("class", CLASS_PROMPT) for _ in range(8)),
    *_described(),
)
PROBES = tuple(replace(probe, number=number) for number, probe in enumerate(_EVERY))


def probes_of(run: Run) -> tuple[Probe, ...]:
    """Without prior preservation it is looked at what became of the class, and no more."""
    return PROBES if run.prior else tuple(probe for probe in PROBES if not probe.of_subject)


def request_for(probe: Probe, seed: int) -> GenerationRequest:
    """The same noise for every avatar, and for the base."""
    return GenerationRequest(
        prompt=probe.prompt, subject=probe.of_subject, seed=seed * 1000 + probe.number
    )


def folder(run: Run | None = None) -> Path:
    """Where the runs of these weights and of this recipe are kept; or what the base answers."""
    weights = work_path("runs") / lensa_mini.REVISION
    if run is None:
        return weights
    return weights / f"{run.method}-{digest(BASES['mini'].recipe[run.method])[:8]}"


def kept_at(what: Run | int) -> Path:
    """Where a run's images are kept, or the base's answers by their seed."""
    if isinstance(what, Run):
        return folder(what) / f"{what.name}.npz"
    return folder() / f"base-{what}.npz"


def draw(orders: Iterable[Order]) -> np.ndarray:
    """The images of the orders, uint8 (N, 64, 64, 3), drawn as a server does: side by side."""
    ends: dict[int, Result | Exception] = {}
    batcher = Batcher(BATCH)
    for number, order in enumerate(orders):
        batcher.add(order, on_end=partial(ends.__setitem__, number))
    while len(batcher):
        batcher.advance()
    images = []
    for number in sorted(ends):
        end = ends[number]
        if isinstance(end, Exception):
            raise end
        images += [np.asarray(image) for image in end.images]
    return np.stack(images)


@torch.no_grad()
def base_answers(seed: int) -> np.ndarray:
    """What the base model itself answers to every probe."""
    ref = BASES["mini"]
    pipeline = load_base(ref, device=torch.device("cpu"), dtype=torch.float32)
    with evaluating(pipeline):
        return draw(
            Order(
                pipeline,
                request_for(probe, seed).suited_to(ref),
                subject=f"{ref.tokens[0]} person",
                class_noun="person",
            )
            for probe in PROBES
        )


def train(run: Run) -> tuple[lensa.Avatar, float]:
    """The avatar of a run, and the seconds it took; NaN if it was begun earlier."""
    begun = kept_at(run).with_suffix(".begun")
    fresh = not begun.exists()
    begun.touch()
    client = lensa.Client(backend="local", home=folder(run) / "home")
    options: dict[str, Any] = {} if run.prior else {"prior_preservation": False}
    started = time.monotonic()
    avatar = client.train(
        draw_photos(run.subject, PHOTOS, seed=run.seed),
        subject=f"run-{run.name}",  # one at a time trains per subject: each run has its own
        base="mini",
        method=run.method,  # type: ignore[arg-type]
        seed=run.seed,
        tracker="none",
        anyway=True,  # the coach knows photos, and these are drawn
        on_event=lambda event: None,
        **options,
    )
    return avatar, time.monotonic() - started if fresh else float("nan")


def perform(run: Run) -> None:
    """Train, draw the probes, and keep the images and what the training took."""
    kept = kept_at(run)
    if kept.exists():
        return
    avatar, seconds = train(run)
    drawer = load_avatar(avatar.path)
    images = draw(drawer.order(request_for(probe, run.seed)) for probe in probes_of(run))
    partial_file = kept.with_suffix(".tmp.npz")
    manifest = avatar.manifest
    np.savez(
        partial_file,
        images=images,
        seconds=seconds,
        steps=manifest.steps_trained,
        exported=manifest.choice.step if manifest.choice else manifest.steps_trained,
    )
    partial_file.rename(kept)
    # Gigabytes over all runs, and nobody goes on from a finished one.
    shutil.rmtree(Layout(avatar.path.parent).checkpoints, ignore_errors=True)


def perform_base(seed: int) -> None:
    kept = kept_at(seed)
    if not kept.exists():
        partial_file = kept.with_suffix(".tmp.npz")
        np.savez(partial_file, images=base_answers(seed))
        partial_file.rename(kept)


def perform_all(runs: Sequence[Run] = RUNS, processes: int = 2) -> None:
    """Every run that is not there yet, `processes` at a time, one thread each.

    Raises RuntimeError at the end, naming those that failed: none is left out in silence.
    """
    wanted: list[Run | int] = [*SEEDS, *runs]
    for what in wanted:
        kept_at(what).parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    missing = [what for what in wanted if not kept_at(what).exists()]
    failed: list[str] = []
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context, _one_thread) as pool,
        tqdm(total=len(wanted), initial=len(wanted) - len(missing), unit="run") as bar,
    ):
        waiting = {
            pool.submit(perform if isinstance(what, Run) else perform_base, what): what
            for what in missing
        }
        for done in as_completed(waiting):
            if error := done.exception():
                failed.append(kept_at(waiting[done]).stem)
                tqdm.write(f"{failed[-1]} failed: {error}")
            bar.update()
    if failed:
        raise RuntimeError(f"{len(failed)} runs failed ({', '.join(failed)}): run it again.")


def _one_thread() -> None:
    torch.set_num_threads(1)


def load_images(what: Run | int) -> np.ndarray:
    """What a run has drawn, or the base with a seed, in the order of the probes."""
    return np.load(kept_at(what))["images"]


def load_cost(run: Run) -> dict[str, float]:
    """The `seconds` that a training took (NaN: it was interrupted), the `steps` that were trained,
    and the one that was `exported`."""
    kept = np.load(kept_at(run))
    return {name: float(kept[name]) for name in ("seconds", "steps", "exported")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", nargs="*", choices=[run.name for run in RUNS], metavar="RUN")
    args = parser.parse_args()
    chosen = [run for run in RUNS if not args.runs or run.name in args.runs]
    perform_all(chosen, args.processes)


if __name__ == "__main__":
    main()
