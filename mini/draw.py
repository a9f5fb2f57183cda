"""Draws the training set: captioned avatars, none of a held-out identity.

    python -m mini.draw --count 16000 --processes 2

Picture i depends on the seed and on i alone, so an interrupted run goes on where it stopped and a
longer one starts with the same pictures. Captions are not stored: they are drawn anew from the
labels each time a picture is shown (`mini.captions`).
"""

from __future__ import annotations

import argparse
import random
from multiprocessing import Pool

import numpy as np
from tqdm import tqdm

from mini.attributes import Picture, draw_identity, draw_picture, to_indices, values_of
from mini.drawing import draw
from mini.work import work_path

CHUNK = 500


def picture_at(index: int, seed: int = 0, *, held_out: bool = False) -> Picture:
    """The `index`-th picture of one side of the split."""
    rng = random.Random(f"{'held out' if held_out else 'base'} {seed} {index}")
    return draw_picture(rng, draw_identity(rng, held_out=held_out))


def draw_one(task: tuple[int, int, bool]) -> tuple[np.ndarray, list[int]]:
    """Pixels (64, 64, 3) uint8 and the labels of one picture; `task` is (index, seed, held out)."""
    index, seed, held_out = task
    picture = picture_at(index, seed, held_out=held_out)
    return np.asarray(draw(picture)), to_indices(values_of(picture))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=16_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()

    folder = work_path("drawn")
    folder.mkdir(exist_ok=True)
    starts = range(0, args.count, CHUNK)
    chunks = [folder / f"{args.seed}-{start:06d}.npz" for start in starts]
    missing = [i for i, chunk in enumerate(chunks) if not chunk.exists()]
    with (
        Pool(args.processes) as pool,
        tqdm(total=len(missing) * CHUNK, unit="image", mininterval=5) as bar,
    ):
        for i in missing:
            tasks = [(index, args.seed, False) for index in range(starts[i], starts[i] + CHUNK)]
            pixels, rows = [], []
            for image, row in pool.imap(draw_one, tasks, chunksize=25):
                pixels.append(image)
                rows.append(row)
                bar.update()
            partial = chunks[i].with_suffix(".tmp.npz")
            np.savez(partial, images=np.stack(pixels), labels=np.array(rows, dtype=np.uint8))
            partial.rename(chunks[i])

    loaded = [np.load(chunk) for chunk in chunks]
    target = work_path("avatars.npz")
    np.savez(
        target,
        images=np.concatenate([c["images"] for c in loaded])[: args.count],
        labels=np.concatenate([c["labels"] for c in loaded])[: args.count],
    )
    print(f"{args.count} pictures -> {target}")


if __name__ == "__main__":
    main()
