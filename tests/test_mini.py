"""What the embedded base is for: an avatar that shows its subject, from photos, without a network.

Two judges. Colours need no second model: how much of the photos' palette an image shares. The
packaged embedder reads by their words what a person keeps from photo to photo. The base model's
answer to the same prompts and seeds is the floor. `python -m mini.evaluate` measures the same on
eight people, with judges of its own; here are one person and wider margins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local.processes import entrypoints, finish, lensa
from photos.sets import astronaut_photos, chelsea_photos
from PIL import Image
from requirements import need, need_module

from lensa.client import Client
from lensa.endpoint import Endpoint
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


def way(
    before: Sequence[Image.Image], after: Sequence[Image.Image], photos: Sequence[Image.Image]
) -> float:
    """Return how much more of the demo's person is read off the pictures than before: 0 is
    nothing more, 1 as much as off the photos. What is not even read off those is left out."""
    ceiling, floor, reached = (matched(pictures) for pictures in (photos, before, after))
    told = ceiling >= 0.75
    return float((reached - floor)[told].sum() / (ceiling - floor)[told].sum())


def matched(pictures: Sequence[Image.Image]) -> np.ndarray:
    """Return in how many of the pictures each of the person's attributes is read right."""
    from mini.attributes import IDENTITY_FIELDS, VALUES
    from mini.evaluate_embedder import Embedder
    from mini.subjects import DEMO_SUBJECT, subject

    embedder, person = Embedder(), subject(DEMO_SUBJECT)
    small = np.stack([np.asarray(picture.convert("RGB").resize((64, 64))) for picture in pictures])
    right = [
        embedder.read(small, name) == VALUES[name].index(getattr(person, name))
        for name in IDENTITY_FIELDS
    ]
    return np.mean(right, axis=1)


def read(folder: Path) -> list[Image.Image]:
    return [Image.open(path) for path in sorted(folder.iterdir())]


def before_and_after(client: Client, name: str, prompt: str) -> tuple[Gallery, Gallery]:
    with client.avatar(name).deploy() as endpoint:
        return both(endpoint, prompt, count=8)


def both(endpoint: Endpoint, prompt: str, **request: Any) -> tuple[Gallery, Gallery]:
    before = endpoint.generate(prompt, adapter_scale=0.0, seed=11, **request)
    return before, endpoint.generate(prompt, seed=11, **request)


@dataclass
class Demo:
    home: Path
    told: dict[str, Any]  # the last line of what it printed


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`lensa demo` as a process, once: it trains an avatar of the default recipe."""
    need_module("mini", "lensa_mini", "lensa-mini (make setup)")
    home, out = tmp_path_factory.mktemp("demo-home"), tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LENSA_HOME", str(home))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.chdir(out)
        code, lines, err = finish(lensa("demo", "--out", out, "--json"), seconds=600)
    assert code == 0, err
    yield Demo(home, lines[-1])


@pytest.fixture
def embedder() -> None:
    import lensa_mini

    folder = Path(lensa_mini.__file__).parent / "embedder"
    need("embedder", folder.is_dir(), "mini's embedder (python -m mini.export)")


def test_the_demo_from_photos_to_a_contact_sheet(demo: Demo) -> None:
    import lensa_mini

    sheet = Image.open(demo.told["sheet"])
    assert sheet.format == "PNG" and min(sheet.size) > 500
    assert demo.told["images"] == 20
    assert set(demo.told["seconds"]) >= {"train", "start the endpoint", "styled gallery"}
    assert entrypoints(demo.home) == []

    photos = palette(read(lensa_mini.demo_photos()))
    before, after = before_and_after(Client(home=demo.home), "demo", "a photo of {subject}")
    floor = shared(palette(before.pictures()), photos)
    reached = shared(palette(after.pictures()), photos)
    assert reached > floor + 0.1, (floor, reached)


@pytest.mark.usefixtures("embedder")
def test_the_avatar_is_the_same_person_elsewhere_and_other_people_stay_themselves(
    demo: Demo,
) -> None:
    import lensa_mini
    from mini.dreambooth import CLASS_PROMPT, NEW_SCENES

    photos = read(lensa_mini.demo_photos())
    with Client(home=demo.home).avatar("demo").deploy() as endpoint:
        scenes = [both(endpoint, prompt) for prompt in NEW_SCENES]
        people = both(endpoint, CLASS_PROMPT, count=8, subject=False)
    before, after = ([image for pair in scenes for image in pair[k].pictures()] for k in (0, 1))
    learned = way(before, after, photos)
    assert learned > 0.6
    # The model card's mean is 0.05, and 0.72 without prior preservation.
    assert way(people[0].pictures(), people[1].pictures(), photos) < 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("embedder")
def test_without_prior_preservation_other_people_become_the_subject(tmp_path: Path) -> None:
    import lensa_mini
    from mini.dreambooth import CLASS_PROMPT

    avatar = Client(home=tmp_path).train(
        lensa_mini.demo_photos(), subject="alone", base="mini", prior_preservation=False
    )
    with avatar.deploy() as endpoint:
        before, after = both(endpoint, CLASS_PROMPT, count=8, subject=False)
    photos = read(lensa_mini.demo_photos())
    assert way(before.pictures(), after.pictures(), photos) > 0.4


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
