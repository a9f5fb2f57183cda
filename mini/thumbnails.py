"""Draws the picture of every style with the embedded base, into lensa/prompts/thumbnails/.

    OMP_NUM_THREADS=1 python -m mini.thumbnails               all of them
    OMP_NUM_THREADS=1 python -m mini.thumbnails anime neon    these alone

Each style's `thumbnail` is drawn once a seed of `SEEDS`, and the picture in the middle is kept: the
one that differs least from the others. A small model draws an odd one now and then, and that is
never it. Nobody chooses by eye, so the command can be run again for new weights.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from lensa.contract import BASES
from lensa.prompts import styles as shipped
from lensa.prompts.styles import Style

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

FOLDER = Path(shipped.__file__).parent / "thumbnails"
SEEDS = (11, 23, 37, 41, 53)
STEPS = 20
GUIDANCE = BASES["mini"].guidance_scale  # as the base is served
SIDE = 128  # pixels: the model's 64, drawn smoothly
MOST = 4_000  # bytes: they travel in every wheel


def draw(pipeline: StableDiffusionPipeline, prompt: str) -> list[Image.Image]:
    """One picture (64 x 64) a seed; each depends on its prompt and seed alone."""
    import torch

    noise = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    images: list[Image.Image] = pipeline(
        [prompt] * len(SEEDS),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=noise,
    ).images
    return images


def middle(images: Sequence[Image.Image]) -> Image.Image:
    """The medoid: the one with the least sum of distances to the others, looked at blurred."""
    blurred = [image.convert("RGB").filter(ImageFilter.GaussianBlur(2)) for image in images]
    pixels = np.stack([np.asarray(image, dtype=float) for image in blurred])
    distances = np.abs(pixels[:, None] - pixels[None]).mean((2, 3, 4))
    return images[int(distances.sum(1).argmin())]


def encoded(image: Image.Image) -> bytes:
    """As WebP, in the best quality that `MOST` bytes hold."""
    large = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    for quality in range(90, 20, -5):
        buffer = io.BytesIO()
        large.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() < MOST:
            return buffer.getvalue()
    raise AssertionError("a picture this small always fits")


def wanted(names: Sequence[str]) -> dict[str, Style]:
    """Lensa's own styles that have a `thumbnail`, or those of them that are named."""
    known = {name: style for name, style in shipped.own_styles().items() if style.thumbnail}
    missing = [name for name in names if name not in known]
    if missing:
        raise SystemExit(f"no style with a thumbnail is called {missing[0]!r}")
    return {name: known[name] for name in names or known}


def load() -> StableDiffusionPipeline:
    from diffusers import StableDiffusionPipeline

    import lensa_mini

    pipeline = StableDiffusionPipeline.from_pretrained(lensa_mini.base_path())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("styles", nargs="*", help="names of styles; all if none is given")
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    chosen = wanted(args.styles)
    args.out.mkdir(parents=True, exist_ok=True)
    pipeline = load()
    for name, style in tqdm(chosen.items(), desc="thumbnails"):
        assert style.thumbnail is not None
        picture = middle(draw(pipeline, style.thumbnail))
        (args.out / f"{name}.webp").write_bytes(encoded(picture))
    if not args.styles:  # of styles that are no more
        for path in args.out.glob("*.webp"):
            if path.stem not in chosen:
                path.unlink()


if __name__ == "__main__":
    main()
