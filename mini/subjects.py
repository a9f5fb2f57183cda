"""Draws "photos" of people whom the base model has never seen.

    python -m mini.subjects --subject 0 --count 8 --out DIR

A subject is a held-out identity (`attributes.Identity.held_out`); its photos differ in pose, crop,
expression, clothes, background and light. Subjects are fixed: number i is the same person for
every seed, and any two of the first 200 differ.
"""

from __future__ import annotations

import argparse
import functools
import random
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from mini.attributes import Identity, Picture, draw_identity, draw_picture
from mini.drawing import draw

DEMO_SUBJECT = 149  # a blue bob and glasses: nobody to be mistaken for


@functools.cache
def subject(index: int) -> Identity:
    """The `index`-th held-out person."""
    rng = random.Random("subjects")
    seen: list[Identity] = []
    while len(seen) <= index:
        identity = draw_identity(rng, held_out=True)
        if identity not in seen:
            seen.append(identity)
    return seen[index]


def photo_pictures(subject_index: int, count: int, seed: int = 0) -> list[Picture]:
    """What `draw_photos` draws: clothes and backgrounds all different as far as they go."""
    rng = random.Random(f"photos {subject_index} {seed}")
    pictures: list[Picture] = []
    while len(pictures) < count:
        picture = draw_picture(rng, subject(subject_index), style="photo", tilt=10.0)
        recent = pictures[-6:]
        if any(p.background == picture.background or p.clothes == picture.clothes for p in recent):
            continue
        pictures.append(picture)
    return pictures


def draw_photos(subject: int, count: int, size: int = 256, seed: int = 0) -> list[Image.Image]:
    """`count` RGB photos, `size` x `size`, of held-out subject number `subject`."""
    return [draw(picture, size) for picture in photo_pictures(subject, count, seed)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", type=int, default=DEMO_SUBJECT)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print(subject(args.subject))
    for i, picture in enumerate(tqdm(photo_pictures(args.subject, args.count, args.seed))):
        draw(picture, args.size).save(args.out / f"{i + 1:02d}.png")


if __name__ == "__main__":
    main()
