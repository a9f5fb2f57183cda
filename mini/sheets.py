"""Pictures side by side, to be looked at: the model card shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageOps

from mini.attributes import STYLES
from mini.dreambooth import PHOTOS, PROBES, SUBJECTS, Run, load_images
from mini.generating import generate
from mini.prompt_following import described
from mini.subjects import draw_photos

PICTURES = Path(__file__).parent / "pictures"

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


def sheet(name: str, images: list[np.ndarray], columns: int, zoom: int = 2) -> Path:
    """A grid of images (64, 64, 3), beside the model card."""
    rows = -(-len(images) // columns)
    grid = np.full((rows * 66, columns * 66, 3), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * 66, i % columns * 66
        grid[y : y + 64, x : x + 64] = image
    picture = ImageOps.scale(Image.fromarray(grid), zoom)
    path = PICTURES / f"{name}.webp"
    path.parent.mkdir(exist_ok=True)
    picture.save(path, quality=60, method=6)
    return path


def contact_sheet(pipeline: StableDiffusionPipeline) -> Path:
    """Short prompts, eight images each, a prompt a row; then one person in every style."""
    prompts = [prompt for prompt in SHORT_PROMPTS for _ in range(8)]
    person = "a photo of a person, {}, red bob, light skin, glasses, smiling, blue background"
    prompts += [person.format(style) for style in STYLES]
    return sheet("contact_sheet", list(generate(pipeline, prompts, seed=7)), columns=8)


def following_sheet(pipeline: StableDiffusionPipeline) -> Path:
    """Real renders, and below them what the model makes of their descriptions."""
    real, _, prompts = described(24)
    return sheet("following", [*real, *generate(pipeline, prompts)], columns=12)


def subjects_sheet(method: str, seed: int = 0) -> Path:
    """A subject a row: four photos, a gap, then its avatar in new clothes and before new
    backgrounds, and in every style. Would a stranger say that it is the same person?"""
    gap = np.full((64, 64, 3), 255, dtype=np.uint8)
    shown = [p.number for p in PROBES if p.kind == "scene"][:5]
    shown += [p.number for p in PROBES if p.kind == "style" and p.short]
    rows: list[np.ndarray] = []
    for number in SUBJECTS:
        photos = [np.asarray(photo) for photo in draw_photos(number, PHOTOS, 64, seed)]
        images = load_images(Run(number, seed, method))
        rows += [*photos[:4], gap, *images[shown]]
    return sheet(f"subjects_{method}", rows, columns=5 + len(shown))
