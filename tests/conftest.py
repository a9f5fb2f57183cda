"""Every test has a LENSA_HOME of its own and no settings of the user's."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.loaders import Loader
from PIL import Image

from lensa.avatar import Avatar
from lensa.client import Client

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # idle OpenMP threads starve the working ones

# The smallest training that goes through every part of the job.
TINY = {
    "base": "micro",
    "steps": 4,
    "class_images": 2,
    "class_image_steps": 2,
    "validation_prompts": ["a photo of {subject}"],
    "validation_every": 4,  # before the first step, and that is all
    "tracker": "none",
}


gc.disable()  # until everything is imported: see `inference_entrypoint.unused`


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not look at a million objects again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a working directory without a lensa.toml."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("LENSA_", "WANDB_")) and name != "LENSA_REQUIRE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("LENSA_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    return home


class Shared(Loader):
    """botocore's models, read once for all sessions: most of what a test of AWS takes."""

    @property
    def search_paths(self) -> list[str]:
        return list(super().search_paths)  # every session of boto3 adds to it


@pytest.fixture(scope="session", autouse=True)
def shared_models() -> Iterator[None]:
    loader = Shared(extra_search_paths=[str(Path(boto3.__file__).parent / "data")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", lambda search_path: loader)
        yield


def write_photos(folder: Path, count: int = 5, side: int = 64, seed: int = 0) -> Path:
    """Write pictures that differ: plumbing needs no more."""
    folder.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    for index in range(count):
        image = Image.new("RGB", (side, side), tuple(source.randrange(256) for _ in range(3)))
        image.putpixel((index, index), (255, 255, 255))
        image.save(folder / f"{index}.png")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def client(isolated: Path) -> Client:
    return Client()


@pytest.fixture(scope="session")
def micro_avatar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Avatar]:
    """One finished avatar on `micro`, trained once for all tests that only use it."""
    root = tmp_path_factory.mktemp("micro-avatar")
    trained = Client(home=root / "home").train(
        write_photos(root / "photos"), subject="ada", on_event=lambda event: None, **TINY
    )
    yield trained


@pytest.fixture
def train(client: Client, photos: Path) -> Callable[..., Avatar]:
    """Train the tiny recipe, with changes."""

    def run(**changes: object) -> Avatar:
        return client.train(
            photos, subject="ada", on_event=lambda event: None, **{**TINY, **changes}
        )

    return run
