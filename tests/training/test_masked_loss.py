"""A masked loss learns the subject, and what is around it by `unmasked_weight`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import write_photos
from diffusers import DDPMScheduler
from PIL import Image
from training.running import Job, make_job, tiny_config

from inference_entrypoint.bases import load_base
from lensa.contract import BASES
from lensa.errors import PhotosError
from training_entrypoint.images import Latents, encode, mask_of, read_photo
from training_entrypoint.loss import Data, dreambooth_loss


class Zero(torch.nn.Module):
    """A UNet that predicts nothing, so that the errors are the noise itself."""

    dtype = torch.float32

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, text: torch.Tensor) -> Any:
        self.noisy = noisy
        return SimpleNamespace(sample=torch.zeros_like(noisy))


def conditioning(instance: list[int], prior: list[int]) -> torch.Tensor:
    return torch.zeros(len(instance) + len(prior), 1, 1)


def latents(masks: torch.Tensor | None) -> Latents:
    mean = torch.zeros(3, 4, 8, 8)
    return Latents(mean, torch.zeros_like(mean), scale=1.0, shift=0.0, masks=masks)


def loss(masks: torch.Tensor | None, prior: Latents | None = None, **changes: Any) -> torch.Tensor:
    config = tiny_config(batch_size=3, prior_preservation=prior is not None, **changes)
    data = Data(latents(masks), prior)
    return dreambooth_loss(Zero(), DDPMScheduler(), data, conditioning, config, draw=0)


def left_half() -> torch.Tensor:
    masks = torch.zeros(3, 1, 8, 8)
    masks[..., :4] = 1
    return masks


def noise() -> torch.Tensor:
    """The noise that the draw adds: the latents are zero."""
    unet, schedule = Zero(), DDPMScheduler()
    seen = {}

    def remember(clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        seen["noise"] = noise
        return noise

    schedule.add_noise = remember
    config = tiny_config(batch_size=3, prior_preservation=False)
    dreambooth_loss(unet, schedule, Data(latents(None), None), conditioning, config, draw=0)
    return seen["noise"]


@pytest.mark.parametrize("unmasked", [0.0, 0.1, 1.0])
def test_it_is_the_weighted_mean_of_each_image(unmasked: float) -> None:
    squares = noise().square().mean(1)
    inside, outside = squares[..., :4].mean((1, 2)), squares[..., 4:].mean((1, 2))
    expected = ((inside + unmasked * outside) / (1 + unmasked)).mean()
    torch.testing.assert_close(loss(left_half(), unmasked_weight=unmasked), expected)


def test_masks_that_leave_nothing_out_change_nothing() -> None:
    torch.testing.assert_close(loss(torch.ones(3, 1, 8, 8)), loss(None))


def test_a_small_subject_counts_as_much_as_a_large_one() -> None:
    small = torch.zeros(3, 1, 8, 8)
    small[..., :2, :2] = 1
    expected = noise().square().mean(1)[..., :2, :2].mean()
    torch.testing.assert_close(loss(small, unmasked_weight=0.0), expected)


def test_class_images_are_never_masked() -> None:
    with_prior = loss(left_half(), prior=latents(None), prior_loss_weight=1.0)
    without = loss(left_half(), prior=latents(None), prior_loss_weight=0.0)
    assert 0.8 < float(with_prior - without) < 1.2  # the noise's variance, over whole images


def masked_photos(folder: Path) -> list[Path]:
    """Photos whose left quarter is the subject."""
    write_photos(folder, 4, side=32)
    files = sorted(folder.iterdir())
    for file in files:
        picture = Image.open(file).convert("RGBA")
        alpha = Image.new("L", picture.size, 0)
        alpha.paste(255, (0, 0, 8, 32))
        picture.putalpha(alpha)
        picture.save(file)
    return files


def test_masks_are_read_at_the_size_of_the_latents_and_mirrored_with_the_photos(
    tmp_path: Path,
) -> None:
    files = masked_photos(tmp_path)
    pipeline = load_base(BASES["micro"], device=torch.device("cpu"), dtype=torch.float32)
    found = encode(pipeline.vae, files, 32, flip=True, masked=True)
    assert found.masks is not None
    assert found.masks.shape == (8, 1, *found.mean.shape[-2:])
    width = found.masks.shape[-1]
    straight, mirrored = found.masks[0, 0, 0], found.masks[1, 0, 0]
    assert straight[: width // 4].tolist() == [1.0] * (width // 4)
    assert straight[width // 4 :].sum() == 0
    assert torch.equal(mirrored, straight.flip(-1))
    plain = encode(pipeline.vae, files, 32, flip=True)
    assert plain.masks is None
    assert torch.equal(plain.mean, found.mean)  # what lies under the mask is whole


def test_a_photo_without_a_mask_counts_whole(tmp_path: Path) -> None:
    write_photos(tmp_path, 1, side=32)
    assert bool((mask_of(read_photo(tmp_path / "0.png"), 32) == 1).all())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = make_job(tmp_path, masked_loss=True, steps=2)
    masked_photos(job.layout.photos)
    return job


def test_a_job_learns_from_masked_photos(job: Job, tmp_path: Path) -> None:
    assert job.run() == 2
    other = make_job(tmp_path, masked_loss=False, steps=2)
    masked_photos(other.layout.photos)
    assert other.run() == 2
    learned, plainly = job.weights(), other.weights()
    assert any(not torch.equal(learned[name], plainly[name]) for name in learned)


def test_a_job_without_a_single_mask_says_so_before_it_loads_anything(tmp_path: Path) -> None:
    job = make_job(tmp_path, masked_loss=True)
    with pytest.raises(PhotosError, match="none of the photos has a mask"):
        job.run()
    assert job.lines == []
