"""What the embedded base is for: an avatar that shows its subject, from photos, without a network.

Measured by colours, which need no second model: how much of the photos' palette an image shares.
The base model's answer to the same prompts and seeds is the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from local.processes import entrypoints, finish, lensa
from photos.sets import astronaut_photos, chelsea_photos
from PIL import Image
from requirements import need_module

from lensa.client import Client
from lensa.gallery import Gallery

pytestmark = pytest.mark.timeout(900)  # they train: minutes, more on a busy machine


def palette(pictures: Sequence[Image.Image], bins: int = 6) -> np.ndarray:
    """Return the share of the pixels in each of bins**3 colours, over all pictures."""
    small = [np.asarray(picture.convert("RGB").resize((64, 64))) for picture in pictures]
    pixels = np.concatenate([array.reshape(-1, 3) for array in small])
    counts, _ = np.histogramdd(pixels, bins=bins, range=[(0, 256)] * 3)
    return counts / counts.sum()


def shared(one: np.ndarray, other: np.ndarray) -> float:
    """Histogram intersection (Swain & Ballard 1991): 1 for the same palette, 0 for none shared."""
    return float(np.minimum(one, other).sum())


def read(folder: Path) -> list[Image.Image]:
    return [Image.open(path) for path in sorted(folder.iterdir())]


def before_and_after(client: Client, name: str, prompt: str) -> tuple[Gallery, Gallery]:
    with client.avatar(name).deploy() as endpoint:
        request = {"count": 8, "seed": 11}
        before = endpoint.generate(prompt, adapter_scale=0.0, **request)
        return before, endpoint.generate(prompt, **request)


@pytest.fixture(autouse=True)
def embedded_base() -> None:
    need_module("mini", "lensa_mini", "lensa-mini (make setup)")


def test_the_demo_from_photos_to_a_contact_sheet(tmp_path: Path, isolated: Path) -> None:
    import lensa_mini

    code, lines, err = finish(lensa("demo", "--out", tmp_path, "--json"), seconds=600)
    assert code == 0, err
    made = lines[-1]
    sheet = Image.open(made["sheet"])
    assert sheet.format == "PNG" and min(sheet.size) > 500
    assert made["images"] == 20
    assert set(made["seconds"]) >= {"train", "start the endpoint", "styled gallery"}
    assert entrypoints(isolated) == []

    photos = palette(read(lensa_mini.demo_photos()))
    before, after = before_and_after(Client(), "demo", "a photo of {subject}")
    floor = shared(palette(before.pictures()), photos)
    reached = shared(palette(after.pictures()), photos)
    assert reached > floor + 0.1, (floor, reached)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "kind", "noun"),
    [
        ("astronaut", astronaut_photos, "person", "person"),
        ("chelsea", chelsea_photos, "pet", "cat"),
    ],
)
def test_real_photos(
    name: str, make: Callable[..., object], kind: str, noun: str, tmp_path: Path
) -> None:
    make(tmp_path / name, count=8)
    train = ["train", tmp_path / name, "--kind", kind, "--class-noun", noun, "--base", "mini"]
    code, lines, err = finish(lensa(*train, "--json"), seconds=600)
    assert code == 0, err
    photos = palette(read(tmp_path / name))
    before, after = before_and_after(Client(), lines[-1]["avatar"], "a photo of {subject}")
    floor = shared(palette(before.pictures()), photos)
    reached = shared(palette(after.pictures()), photos)
    assert reached > floor + 0.1, (floor, reached)
