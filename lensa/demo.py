"""The demo: eight photos of a drawn subject in, a gallery of avatars out, on the embedded base."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image

from lensa.avatar import Avatar
from lensa.client import Client
from lensa.contract import BASES
from lensa.contract.events import Event
from lensa.endpoint import Endpoint
from lensa.errors import ConfigError
from lensa.gallery import Gallery, make_writable
from lensa.photos.prepare import load_photos
from lensa.prompts.styles import styles
from lensa.sheet import Row, contact_sheet

SUBJECT = "demo"
PROMPTS = (
    "a photo of {subject}",
    "a photo of {subject}, smiling, blue background",
    "a photo of {subject}, wearing a hoodie, green background",
    "a photo of {subject}, close-up",
)
_SEED = 7


@dataclass
class Demo:
    """What the demo made, and how long each step took in seconds."""

    sheet: Path
    avatar: Avatar
    gallery: Gallery
    seconds: dict[str, float] = field(default_factory=dict)


def run_demo(client: Client, out: Path, *, on_event: Callable[[Event], None] | None = None) -> Demo:
    """Train on the photos that come with the embedded base, serve, draw, and write one sheet.

    Raises ConfigError if the embedded base is not installed, StorageError if `out` cannot be
    written.
    """
    photos = _demo_photos()
    make_writable(out)
    seconds: dict[str, float] = {}
    with _timed(seconds, "prepare the photos"):
        prepared = load_photos(photos, BASES["mini"].resolution)
    with _timed(seconds, "train"):
        avatar = client.train(photos, subject=SUBJECT, base="mini", on_event=on_event)
    with _timed(seconds, "start the endpoint"):
        endpoint = avatar.deploy()
    with endpoint:
        with _timed(seconds, "before and after"):
            before = _answers(endpoint, adapter_scale=0.0)
            after = _answers(endpoint, adapter_scale=1.0)
        with _timed(seconds, "styled gallery"):
            styled = _styled(endpoint)
    with _timed(seconds, "contact sheet"):
        path = out / "contact-sheet.png"
        subject = avatar.manifest.config.subject
        rows = [
            Row("The photos", [Image.open(BytesIO(photo.png)) for photo in prepared.photos]),
            _row("Before: the base model's answer", before, subject),
            _row("After: the avatar's answer to the same prompt and seed", after, subject),
            _row("Styles, each prompt expanded", styled[::2], subject),
            _row("Styles, another seed", styled[1::2], subject),
        ]
        contact_sheet(f"lensa demo: {avatar.id}", rows).save(path)
    return Demo(path, avatar, after + styled, seconds)


def _styled(endpoint: Endpoint) -> Gallery:
    """Two images of every style that the embedded base knows."""
    gallery = Gallery(())
    for style in styles().values():
        if style.pack == "mini":
            gallery += endpoint.generate(style=style.name, count=2, seed=_SEED, expand=True)
    return gallery


def _row(title: str, gallery: Gallery, subject: str) -> Row:
    beginning = f"a photo of {subject}"
    labels = [image.prompt.removeprefix(beginning).lstrip(", ") or "a photo" for image in gallery]
    return Row(title, gallery.pictures(), labels)


def _answers(endpoint: Endpoint, *, adapter_scale: float) -> Gallery:
    gallery = Gallery(())
    for prompt in PROMPTS:
        gallery += endpoint.generate(prompt, seed=_SEED, count=2, adapter_scale=adapter_scale)
    return gallery


def _demo_photos() -> Path:
    if find_spec("lensa_mini") is None:
        raise ConfigError("the demo needs the embedded base model: pip install 'lensa[local]'.")
    folder: Path = import_module("lensa_mini").demo_photos()
    return folder


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - start, 1)
