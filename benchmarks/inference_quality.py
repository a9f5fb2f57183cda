"""What the faster ways to draw cost in quality, as far as `mini`'s judge can see.

    OMP_NUM_THREADS=1 python benchmarks/inference_quality.py [--images 240] [--subjects 2] [--json]
        [--out benchmarks/results/inference-quality.json]

Every quality draws the same descriptions of held-out people from the same noise as diffusers'
pipeline with PNDM and 50 steps, at the base's guidance. The classifier of `mini` (train it with
`python -m mini.draw --count 16000 && python -m mini.classifier`) reads the attributes back:

    attributes   the mean share that is as described, of the eight with a target in `mini.evaluate`
    style        whether the style is the one that was asked for
    subject      avatars of held-out people in new clothes, styles and places: the share of their
                 hair style, hair colour, skin, glasses and beard that is right

Reported is the difference to PNDM, image by image, with the 95% interval of a bootstrap.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT)]

QUALITIES = ("draft", "standard", "best")
THEIRS = "PNDM, 50 steps"
SEED = 11
NEW_LOOKS = (
    "",
    "pencil sketch",
    "watercolour",
    "wearing a red hoodie, green background",
    "as an astronaut, night sky background",
    "wearing a blue sweater, on the beach",
    "pop art, yellow background",
    "smiling, wearing a suit, white background",
)


def draw_theirs(pipeline: Any, prompts: Sequence[str], guidance: float) -> np.ndarray:
    """uint8 [n, height, width, 3], image i from the noise of (SEED, i)."""
    import torch
    from diffusers import PNDMScheduler

    from inference_entrypoint.families import family_of
    from inference_entrypoint.noise import generator_of, starting_noise

    own = pipeline.scheduler
    pipeline.scheduler = PNDMScheduler.from_config(own.config, skip_prk_steps=True)
    pipeline.set_progress_bar_config(disable=True)
    size = family_of(pipeline).image_size(pipeline)
    shape = family_of(pipeline).latent_shape(pipeline, *size)
    images: list[Any] = []
    for start in range(0, len(prompts), 16):
        part = list(prompts[start : start + 16])
        noise = [starting_noise(generator_of(SEED, start + i), shape) for i in range(len(part))]
        images += pipeline(
            part, num_inference_steps=50, guidance_scale=guidance, latents=torch.stack(noise)
        ).images
    pipeline.scheduler = own
    return np.stack([np.asarray(image) for image in images])


def draw_ours(
    pipeline: Any, base: Any, prompts: Sequence[str], subject: str, quality: str
) -> np.ndarray:
    from inference_entrypoint.generate import generate
    from lensa.contract import GenerationRequest

    images = []
    for index, prompt in enumerate(prompts):
        request = GenerationRequest(prompt=prompt, seed=SEED, index=index, quality=quality)
        images += generate(
            pipeline, request.suited_to(base), subject=subject, class_noun="person"
        ).images
    return np.stack([np.asarray(image) for image in images])


def difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Means of scores [n], and the paired difference with its 95% interval."""
    rng = np.random.default_rng(0)
    gain = ours - theirs
    means = gain[rng.integers(0, len(gain), (4000, len(gain)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {
        "ours": round(float(ours.mean()), 4),
        "theirs": round(float(theirs.mean()), 4),
        "difference": round(float(gain.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def attributes(images: int) -> dict[str, dict[str, Any]]:
    """The base alone: are descriptions of people followed as well?"""
    from mini.attributes import VALUES, from_indices
    from mini.captions import describe
    from mini.classifier import load_classifier
    from mini.draw import draw_one
    from mini.evaluate import TARGETS
    from mini.train_vae import to_model

    pipeline, base = load_mini()
    labels = np.array([draw_one((i, SEED, True))[1] for i in range(images)])
    prompts = [describe(from_indices(row)) for row in labels]
    judge = load_classifier()
    columns = [list(VALUES).index(name) for name in TARGETS]
    style = list(VALUES).index("style")

    def scores(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = judge.predict(to_model(pictures)) == labels
        return right[:, columns].mean(1), right[:, style].astype(float)

    theirs = scores(draw_theirs(pipeline, prompts, base.guidance_scale))
    found: dict[str, dict[str, Any]] = {}
    for quality in QUALITIES:
        # "person" alone is in the prompt: nothing is put in front
        plain = [prompt.replace("a person", "{subject}") for prompt in prompts]
        ours = scores(draw_ours(pipeline, base, plain, "a person", quality))
        found[quality] = {
            name: difference(ours[i], theirs[i]) for i, name in enumerate(("attributes", "style"))
        }
    return found


def subjects(count: int) -> dict[str, dict[str, Any]]:
    """Avatars: is the subject as well recognised?"""
    from inference_entrypoint.avatars import load_avatar
    from lensa.client import Client
    from mini.attributes import IDENTITY_FIELDS, VALUES
    from mini.classifier import load_classifier
    from mini.subjects import draw_photos, subject
    from mini.train_vae import to_model

    judge = load_classifier()
    columns = [list(VALUES).index(name) for name in IDENTITY_FIELDS]
    theirs: list[np.ndarray] = []
    ours: dict[str, list[np.ndarray]] = {quality: [] for quality in QUALITIES}
    with tempfile.TemporaryDirectory() as home:
        client = Client(home=Path(home))
        for number in range(count):
            trained = client.train(
                draw_photos(number, 8),
                subject=f"subject-{number}",
                base="mini",
                anyway=True,
                on_event=lambda event: None,
            )
            avatar = load_avatar(trained.path)
            config = avatar.manifest.config
            identity = subject(number)
            labels = [VALUES[name].index(getattr(identity, name)) for name in IDENTITY_FIELDS]
            looks = [look for look in NEW_LOOKS for _ in range(4)]
            prompts = [f"a photo of {{subject}}{', ' * bool(look)}{look}" for look in looks]

            def scores(pictures: np.ndarray, labels: list[int] = labels) -> np.ndarray:
                right = judge.predict(to_model(pictures))[:, columns] == np.array(labels)
                return right.mean(1)

            filled = [prompt.replace("{subject}", config.subject) for prompt in prompts]
            guidance = config.base.guidance_scale
            theirs.append(scores(draw_theirs(avatar.pipeline, filled, guidance)))
            for quality in QUALITIES:
                drawn = draw_ours(avatar.pipeline, config.base, prompts, config.subject, quality)
                ours[quality].append(scores(drawn))
    return {
        quality: {"subject": difference(np.concatenate(found), np.concatenate(theirs))}
        for quality, found in ours.items()
    }


def load_mini() -> tuple[Any, Any]:
    import torch

    from inference_entrypoint.bases import load_base
    from lensa.contract import BASES

    return load_base(BASES["mini"], device="cpu", dtype=torch.float32), BASES["mini"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--subjects", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = attributes(options.images)
    if options.subjects:
        for quality, rows in subjects(options.subjects).items():
            found[quality].update(rows)
    import lensa_mini

    result = {
        "against": THEIRS,
        "images": options.images,
        "subjects": options.subjects,
        "revision of mini": lensa_mini.REVISION,
        "qualities": found,
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    if options.json:
        print(json.dumps(result))
        return
    for quality, rows in found.items():
        for name, row in rows.items():
            print(
                f"{quality:9} {name:11} {row['ours']:.3f} against {row['theirs']:.3f}: "
                f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
            )


if __name__ == "__main__":
    main()
