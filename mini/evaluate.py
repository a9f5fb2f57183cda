"""Measures the exported model, figure by figure, into `mini/evaluation.json` and a contact sheet.

    OMP_NUM_THREADS=1 python -m mini.evaluate

Figure 1, prompt following: pictures of held-out identities are described in full, the model draws
the descriptions, and the classifier reads the attributes back. Beside it stand the classifier's
reading of the real renders of the very same pictures (the ceiling), of those renders after a trip
through the autoencoder, and of nothing (always the commonest value: the floor). Raw readings are
saved. `FIGURES` is where further figures join.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from tqdm import tqdm

import lensa_mini
from mini.attributes import STYLES, VALUES, from_indices
from mini.captions import describe
from mini.classifier import load_classifier
from mini.draw import draw_one
from mini.train_vae import to_model
from mini.work import work_path

RESULT = Path(__file__).parent / "evaluation.json"
CARD = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
SEED = 2  # of the pictures that are described; fixed before the first run
COUNT = 240
STEPS = 20
GUIDANCE = 4.0
# The attributes of figure 1 and the share of the ceiling that each should reach.
TARGETS = {
    "style": 0.97,
    "skin": 0.97,
    "background": 0.97,
    "hair_colour": 0.93,
    "glasses": 0.90,
    "hair_style": 0.80,
    "facial_hair": 0.80,
    "expression": 0.50,
}
SHORT_PROMPTS = (
    "a photo of a person",
    "a photo of a sks person",
    "pencil sketch of a person with glasses",
    "a photo of a person, watercolour",
    "a photo of a sks person, pop art, blue background",
    "a person, sepia",
    "neon portrait of a person",
    "a photo of a person, oil painting, smiling",
    "pixel art of a person",
    "a person as an astronaut",
    "a person with pink hair and sunglasses",
    "",
)


def load() -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(lensa_mini.base_path())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionPipeline, prompts: list[str], *, seed: int = 0, batch: int = 24
) -> np.ndarray:
    """One image a prompt, uint8 (N, 64, 64, 3); image i depends on seed and i alone."""
    images = []
    for start in tqdm(range(0, len(prompts), batch), desc="generate"):
        part = prompts[start : start + batch]
        noise = [
            torch.Generator().manual_seed(seed * 100_000 + start + i) for i in range(len(part))
        ]
        images += pipeline(
            part, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=noise
        ).images
    return np.stack([np.asarray(image) for image in images])


@torch.no_grad()
def round_trip(pipeline: StableDiffusionPipeline, images: np.ndarray) -> np.ndarray:
    """The images (N, 64, 64, 3) after the autoencoder."""
    vae = pipeline.vae
    out = torch.cat(
        [vae.decode(vae.encode(x).latent_dist.mode()).sample for x in to_model(images).split(64)]
    )
    return ((out.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def prompt_following(pipeline: StableDiffusionPipeline) -> dict[str, Any]:
    """Figure 1: every attribute's accuracy, and `attribute_accuracy_share`, the mean share."""
    drawn = [draw_one((i, SEED, True)) for i in tqdm(range(COUNT), desc="draw")]
    real = np.stack([pixels for pixels, _ in drawn])
    labels = np.array([row for _, row in drawn])
    prompts = [describe(from_indices(row)) for row in labels]
    started = time.monotonic()
    generated = generate(pipeline, prompts)
    seconds = time.monotonic() - started
    restored = round_trip(pipeline, real)
    sheet("following.png", [*real[:24], *generated[:24]], columns=12)

    judge = load_classifier()
    readings = {
        "generated": judge.predict(to_model(generated)),
        "ceiling": judge.predict(to_model(real)),
        "autoencoder": judge.predict(to_model(restored)),
    }
    attributes: dict[str, dict[str, float]] = {}
    for k, name in enumerate(VALUES):
        seen = _visible(name, labels)
        row = {
            kind: float((reading[seen, k] == labels[seen, k]).mean())
            for kind, reading in readings.items()
        }
        row["chance"] = float(np.bincount(labels[seen, k]).max() / seen.sum())
        row["share"] = row["generated"] / row["ceiling"]
        if name in TARGETS:
            row["target_share"] = TARGETS[name]
        attributes[name] = {key: round(value, 4) for key, value in row.items()}
    error = ((real.astype(float) - restored) ** 2).mean((1, 2, 3))
    return {
        "attribute_accuracy_share": round(
            float(np.mean([attributes[name]["share"] for name in TARGETS])), 4
        ),
        "images": COUNT,
        "seconds": round(seconds, 1),
        "autoencoder_psnr_db": round(float(np.mean(10 * np.log10(255**2 / error))), 2),
        "attributes": attributes,
        "raw": {
            "order": list(VALUES),
            "labels": labels.tolist(),
            **{kind: reading.tolist() for kind, reading in readings.items()},
        },
    }


def _visible(name: str, labels: np.ndarray) -> np.ndarray:
    """Which pictures (N,) show the attribute at all: a bald head has no hair colour."""
    column = {attribute: labels[:, k] for k, attribute in enumerate(VALUES)}
    everywhere = np.ones(len(labels), dtype=bool)
    if name == "hair_colour":
        bald = column["hair_style"] == VALUES["hair_style"].index("bald")
        return ~(bald & (column["facial_hair"] == VALUES["facial_hair"].index("none")))
    if name == "clothes_colour":
        return column["clothes"] < VALUES["clothes"].index("blazer")
    if name == "light":
        return column["style"] == VALUES["style"].index("photo")
    return everywhere


# Name in the result -> what measures it. The DreamBooth figures (subject, prior, styles, speed)
# need a training engine and join here as functions of the pipeline.
FIGURES: dict[str, Callable[[StableDiffusionPipeline], dict[str, Any]]] = {
    "prompt_following": prompt_following,
}


def sheet(name: str, images: list[np.ndarray], columns: int, zoom: int = 2) -> Path:
    """A grid of images (64, 64, 3) as a PNG in the work folder."""
    rows = -(-len(images) // columns)
    grid = np.full((rows * 66, columns * 66, 3), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * 66, i % columns * 66
        grid[y : y + 64, x : x + 64] = image
    path = work_path(name)
    picture = Image.fromarray(grid)
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.BICUBIC).save(
        path
    )
    return path


def contact_sheet(pipeline: StableDiffusionPipeline) -> Path:
    """Short prompts, eight images each, a prompt a row; then one person in every style."""
    prompts = [prompt for prompt in SHORT_PROMPTS for _ in range(8)]
    person = "a photo of a person, {}, red bob, light skin, glasses, smiling, blue background"
    prompts += [person.format(style) for style in STYLES]
    return sheet("contact_sheet.png", list(generate(pipeline, prompts, seed=7)), columns=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", nargs="*", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--sheet-only", action="store_true", help="draw the contact sheet alone")
    args = parser.parse_args()
    pipeline = load()
    print(contact_sheet(pipeline))
    if args.sheet_only:
        return
    result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    settings = {"steps": STEPS, "guidance": GUIDANCE, "seed": SEED}
    for name in args.figures:
        result[name] = {
            "revision": lensa_mini.REVISION,
            "settings": settings,
            **FIGURES[name](pipeline),
        }
    RESULT.write_text(_compact(result))
    write_card(result)
    for name in args.figures:
        shown = {k: v for k, v in result[name].items() if k != "raw"}
        print(json.dumps({name: shown}, indent=2))


def write_card(result: dict[str, Any]) -> None:
    """Puts the figures that were measured into the model card, between its two markers."""
    figure = result["prompt_following"]
    lines = [
        f"Measured on revision `{figure['revision']}`: {figure['images']} images, "
        f"{figure['settings']['steps']} steps, guidance {figure['settings']['guidance']}; "
        "raw readings in `evaluation.json`.",
        "",
        f"`attribute_accuracy_share` {figure['attribute_accuracy_share']:.3f} (the mean of rows "
        f"with a target); the autoencoder's round trip: {figure['autoencoder_psnr_db']:.1f} dB.",
        "",
        "| attribute | generated | real renders (ceiling) | after the autoencoder | chance "
        "| share of ceiling | to reach |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in figure["attributes"].items():
        kinds = ("generated", "ceiling", "autoencoder", "chance", "share")
        cells = " | ".join(f"{row[kind]:.2f}" for kind in kinds)
        target = f"{row['target_share']:.2f}" if "target_share" in row else "-"
        lines.append(f"| {name.replace('_', ' ')} | {cells} | {target} |")
    text = CARD.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    CARD.write_text(text[:start] + "\n" + "\n".join(lines) + "\n" + text[end:])


def _compact(result: dict[str, Any]) -> str:
    """Indented JSON with each row of raw readings on one line."""
    text = json.dumps(result, indent=1)
    return re.sub(r"\[[\s\d,]+\]", lambda m: re.sub(r"\s+", "", m[0]), text) + "\n"


if __name__ == "__main__":
    main()
