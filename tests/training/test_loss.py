"""The DreamBooth loss, against its definition."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from training.running import make_job, tiny_config

from lensa.errors import TrainingError
from training_entrypoint import dreambooth
from training_entrypoint.images import Latents
from training_entrypoint.loss import Data, dreambooth_loss, min_snr_weights


class Recorder(torch.nn.Module):
    """A UNet that predicts a tenth of what it is given, and remembers it."""

    dtype = torch.float32

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, text: torch.Tensor) -> Any:
        self.noisy, self.timesteps, self.text = noisy, timesteps, text
        return SimpleNamespace(sample=noisy / 10)


def latents(count: int, value: float) -> Latents:
    mean = torch.full((count, 4, 8, 8), value)
    return Latents(mean, torch.zeros_like(mean), scale=2.0, shift=0.5)


def conditioning(count: int, prior: bool) -> torch.Tensor:
    return torch.cat([torch.zeros(count, 1, 1), torch.ones(count, 1, 1)][: 2 if prior else 1])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_it_is_the_instance_term_and_the_weighted_class_term(
    prediction: str, weight: float
) -> None:
    config = tiny_config(batch_size=2, prior_loss_weight=weight)
    schedule = DDPMScheduler(prediction_type=prediction)
    unet = Recorder()
    data = Data(latents(3, 1.0), latents(5, -1.0))
    loss = dreambooth_loss(unet, schedule, data, conditioning, config, draw=0)

    clean = torch.cat([torch.full((2, 4, 8, 8), 1.0), torch.full((2, 4, 8, 8), -3.0)])
    signal = schedule.alphas_cumprod[unet.timesteps].sqrt()[:, None, None, None]
    spread = (1 - schedule.alphas_cumprod[unet.timesteps]).sqrt()[:, None, None, None]
    noise = (unet.noisy - signal * clean) / spread
    target = noise if prediction == "epsilon" else signal * noise - spread * clean
    instance = F.mse_loss(unet.noisy[:2] / 10, target[:2])
    prior = F.mse_loss(unet.noisy[2:] / 10, target[2:])
    torch.testing.assert_close(loss, instance + weight * prior, rtol=1e-3, atol=1e-4)
    assert unet.text.flatten().tolist() == [0, 0, 1, 1]


def test_without_prior_preservation_there_is_no_class_term() -> None:
    unet = Recorder()
    config = tiny_config(batch_size=3, prior_preservation=False)
    dreambooth_loss(unet, DDPMScheduler(), Data(latents(3, 1.0), None), conditioning, config, 0)
    assert len(unet.noisy) == 3


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weighs_each_image_by_its_timestep(prediction: str) -> None:
    schedule = DDPMScheduler(prediction_type=prediction)
    timesteps = torch.tensor([0, 300, 999])
    share = schedule.alphas_cumprod[timesteps].double()
    snr = share / (1 - share)  # of the paper's equation: signal over noise, both squared
    below = torch.minimum(snr, torch.tensor(5.0))
    expected = below / snr if prediction == "epsilon" else below / (snr + 1)
    found = min_snr_weights(schedule, timesteps, 5.0).flatten()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-7)


def test_min_snr_counts_in_both_terms_of_the_loss() -> None:
    schedule, unet = DDPMScheduler(), Recorder()
    data = Data(latents(3, 1.0), latents(5, -1.0))
    plain, weighted = tiny_config(), tiny_config(min_snr_gamma=0.5)
    full = dreambooth_loss(unet, schedule, data, conditioning, plain, 3)
    less = dreambooth_loss(unet, schedule, data, conditioning, weighted, 3)
    one, two = min_snr_weights(schedule, unet.timesteps, 0.5).flatten().tolist()
    terms = (only(unet, schedule, data, 0), only(unet, schedule, data, 1))
    torch.testing.assert_close(full, terms[0] + terms[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(less, one * terms[0] + two * terms[1], rtol=1e-3, atol=1e-4)


def only(unet: Recorder, schedule: DDPMScheduler, data: Data, row: int) -> torch.Tensor:
    """The unweighted error of one image of a batch."""
    clean = torch.full((4, 8, 8), 1.0 if row == 0 else -3.0)
    share = schedule.alphas_cumprod[unet.timesteps[row]]
    noise = (unet.noisy[row] - share.sqrt() * clean) / (1 - share).sqrt()
    return F.mse_loss(unet.noisy[row] / 10, noise)


@pytest.mark.parametrize("prior", [True, False])
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_the_parts_of_a_batch_add_up_to_it(prior: bool, parts: int) -> None:
    config = tiny_config(batch_size=5, min_snr_gamma=5, noise_offset=0.1, prior_loss_weight=0.7)
    data = Data(latents(7, 1.0), latents(4, -1.0) if prior else None)
    arguments = (Recorder(), DDPMScheduler(), data, conditioning, config, 2)
    whole = dreambooth_loss(*arguments)
    shares = [dreambooth_loss(*arguments, part=(part, parts)) for part in range(parts)]
    torch.testing.assert_close(sum(shares), whole)


def test_an_offset_moves_whole_channels_and_leaves_the_other_numbers_alone() -> None:
    seen = {}
    for offset in (0.0, 0.5):
        unet = Recorder()
        config = tiny_config(noise_offset=offset, prior_preservation=False)
        dreambooth_loss(unet, DDPMScheduler(), Data(latents(3, 1.0), None), conditioning, config, 4)
        seen[offset] = unet
    assert torch.equal(seen[0.0].timesteps, seen[0.5].timesteps)
    moved = seen[0.5].noisy - seen[0.0].noisy
    torch.testing.assert_close(moved, moved[..., :1, :1].expand_as(moved))
    assert moved.abs().max() > 0.01


def test_a_draw_is_the_same_whenever_it_is_made_and_unlike_the_next() -> None:
    seen = []
    for draw in (7, 8, 7):
        unet = Recorder()
        data = Data(latents(3, 1.0), latents(5, -1.0))
        dreambooth_loss(unet, DDPMScheduler(), data, conditioning, tiny_config(), draw)
        seen.append(unet.noisy)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


def test_every_photo_is_seen_equally_often() -> None:
    from training_entrypoint.randomness import shuffled

    picks = shuffled(3, "instance", 5, 0, 50)
    assert sorted(picks) == sorted(list(range(5)) * 10)
    assert picks[:5] != picks[5:10]
    assert shuffled(3, "instance", 5, 20, 10) == picks[20:30]


def test_a_loss_that_is_not_a_number_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(unet: Any, *rest: Any, part: Any) -> torch.Tensor:
        parameter = next(p for p in unet.parameters() if p.requires_grad)
        return parameter.sum() * float("nan")

    monkeypatch.setattr(dreambooth, "dreambooth_loss", broken)
    job = make_job(tmp_path)
    with pytest.raises(TrainingError, match=r"at step 1, again.*lower learning_rate"):
        job.run()
    assert not (job.layout.model / "avatar.json").exists()
