"""A gallery: saved without overwriting, laid out as a grid, shown in a notebook."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from lensa.contract import GeneratedImage
from lensa.errors import StorageError
from lensa.gallery import Gallery


def image(colour: str, prompt: str = "a <b>red</b> hat", index: int = 0) -> GeneratedImage:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return GeneratedImage(data=data, format="png", prompt=prompt, seed=5, index=index)


def test_saving_twice_keeps_both(tmp_path: Path) -> None:
    gallery = Gallery([image("red"), image("blue", index=1)])
    first, again = gallery.save(tmp_path / "out"), gallery.save(tmp_path / "out")
    assert [path.name for path in first] == ["a-b-red-b-hat-5-0.png", "a-b-red-b-hat-5-1.png"]
    assert not set(first) & set(again)
    assert again[0].read_bytes() == first[0].read_bytes() == gallery[0].content()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Gallery([image("red")]).save(tmp_path / "file")


def test_it_is_a_sequence() -> None:
    gallery = Gallery([image("red")], warnings=["w"], seconds=1)
    both = gallery + Gallery([image("blue")], warnings=["w", "v"], seconds=2)
    assert (len(both), both.warnings, both.seconds) == (2, ("w", "v"), 3)
    assert isinstance(both[:1], Gallery)
    assert [picture.getpixel((0, 0)) for picture in both.pictures()] == [(255, 0, 0), (0, 0, 255)]


def test_the_grid_holds_every_image() -> None:
    grid = Gallery([image("red"), image("blue"), image("lime")]).grid(columns=2, side=32)
    assert grid.size == (64, 64)
    corners = [grid.getpixel(place) for place in ((0, 0), (32, 0), (0, 32), (32, 32))]
    assert corners == [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255)]


def test_in_a_notebook_a_prompt_cannot_inject_markup() -> None:
    page = Gallery([image("red")])._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;red" in page
    assert "data:image/png;base64," in page
