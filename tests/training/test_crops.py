"""Several views of a photo: its middle square, and random parts of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_photos
from PIL import Image, ImageOps
from training.running import make_job

from inference_entrypoint.micro import build_micro
from training_entrypoint.images import (
    Crop,
    encode,
    image_files,
    mask_of,
    pixels_of,
    random_crop,
)


def ramp(width: int, height: int) -> Image.Image:
    """Red says how far across a pixel is, green how far down."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([across, down, across * 0], -1).astype(np.uint8))


@pytest.mark.parametrize("shape", [(200, 100), (100, 200), (64, 64)])
def test_the_first_view_is_the_middle_square(shape: tuple[int, int]) -> None:
    fitted = ImageOps.fit(ramp(*shape), (32, 32), Image.Resampling.LANCZOS)
    assert Crop().of(ramp(*shape), 32).tobytes() == fitted.tobytes()


def test_a_random_view_shows_four_fifths_of_a_side_or_more_and_lies_within() -> None:
    crops = [random_crop(seed=3, index=index) for index in range(200)]
    assert all(0.8 <= crop.side <= 1 for crop in crops)
    for crop in crops:
        across, down, _ = np.asarray(crop.of(ramp(200, 100), 16), dtype=float).transpose(2, 0, 1)
        assert across.max() - across.min() >= 0.8 * 100 * 14 / 16
        assert np.all(np.diff(across.mean(0)) > 0) and np.all(np.diff(down.mean(1)) > 0)
    assert len({crop.across for crop in crops}) == 200
    assert crops[7] == random_crop(seed=3, index=7) != random_crop(seed=4, index=7)


def test_the_mask_is_cut_as_the_photo_is() -> None:
    photo = ramp(100, 100)
    photo.putalpha(photo.getchannel("R").point(lambda value: 255 if value < 50 else 0))
    crop = random_crop(seed=1, index=5)
    red = pixels_of(photo, 64, crop)[0] * 127.5 + 127.5
    inside = mask_of(photo, 64, crop)[0] > 0.5
    assert bool((red[inside] < 52).all()) and bool((red[~inside] > 48).all())


def test_each_photo_is_encoded_in_every_view_one_after_the_other(tmp_path: Path) -> None:
    write_photos(tmp_path, 2, side=64)
    vae, files = build_micro().vae, image_files(tmp_path)
    one = encode(vae, files, 32)
    several = encode(vae, files, 32, crops=3, flip=True, seed=9)
    assert len(several) == 2 * 3 * 2
    assert torch.equal(several.mean[[0, 6]], one.mean)
    assert len({tuple(row.flatten().tolist()) for row in several.mean[::2]}) == 6
    assert torch.equal(encode(vae, files, 32, crops=3, flip=True, seed=9).mean, several.mean)


def test_a_job_learns_from_crops(tmp_path: Path) -> None:
    plain, cropped = make_job(tmp_path, steps=3), make_job(tmp_path, steps=3, crops=4)
    assert plain.run() == cropped.run() == 3
    told = [job.events("progress")[-1]["loss"] for job in (plain, cropped)]
    assert told[0] != told[1]
