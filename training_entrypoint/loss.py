"""What DreamBooth minimises (Ruiz et al. 2022, arXiv:2208.12242).

    loss = |target - unet(noisy instance)|^2 + prior_loss_weight * |target - unet(noisy class)|^2

The subject's photos are learned under the instance prompt; the class images hold the class where it
was, so that the face does not leak into every person. A masked loss counts what is not the subject
by `unmasked_weight` in the first term, so that a background seen too often is not learned with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler

from lensa.contract import TrainingConfig
from training_entrypoint.images import Latents
from training_entrypoint.prompts import Conditioning
from training_entrypoint.randomness import generator, shuffled


@dataclass(frozen=True)
class Data:
    """What the loop learns from. `prior` is None without prior preservation."""

    instance: Latents
    prior: Latents | None


def dreambooth_loss(
    unet: torch.nn.Module,
    schedule: DDPMScheduler,
    data: Data,
    conditioning: Conditioning,
    config: TrainingConfig,
    draw: int,
    part: tuple[int, int] = (0, 1),
) -> torch.Tensor:
    """Return the loss of batch number `draw`; everything random in it follows from that number.

    `part` (i, n): what the i-th of n parts of the batch adds to it, for a GPU that has no memory
    for all of it at once. The sum over the parts is the loss of the batch.
    """
    random = generator(config.seed, "batch", draw)
    start, count = draw * config.batch_size, config.batch_size
    picks = shuffled(config.seed, "instance", len(data.instance), start, count)
    latents = data.instance.sample(picks, random)
    prior_picks: list[int] = []
    if data.prior is not None:
        prior_picks = shuffled(config.seed, "prior", len(data.prior), start, count)
        latents = torch.cat([latents, data.prior.sample(prior_picks, random)])
    noise = torch.randn(latents.shape, generator=random).to(latents.device)
    timesteps = torch.randint(
        0, schedule.config.num_train_timesteps, (len(latents),), generator=random
    ).to(latents.device)
    if config.noise_offset:  # drawn last: without it all other numbers stay what they were
        shifts = torch.randn(len(latents), latents.shape[1], 1, 1, generator=random)
        noise = noise + config.noise_offset * shifts.to(noise.device)
    if part != (0, 1):
        first, last = part[0] * count // part[1], (part[0] + 1) * count // part[1]
        rows = [*range(first, last)]
        rows += [count + row for row in rows if data.prior is not None]
        latents, noise, timesteps = latents[rows], noise[rows], timesteps[rows]
        picks, prior_picks, count = picks[first:last], prior_picks[first:last], last - first
    noisy = schedule.add_noise(latents, noise, timesteps)
    velocity = schedule.config.prediction_type == "v_prediction"
    target = schedule.get_velocity(latents, noise, timesteps) if velocity else noise
    predicted = unet(
        noisy.to(unet.dtype), timesteps, conditioning(count, data.prior is not None)
    ).sample.float()
    if config.min_snr_gamma is not None:
        # The root of the weight on both sides is the weight on their squared difference.
        root = min_snr_weights(schedule, timesteps, config.min_snr_gamma).sqrt()
        predicted, target = predicted * root, target * root
    loss = _masked_mse(
        predicted[:count], target[:count], data.instance.weights(picks, config.unmasked_weight)
    )
    if data.prior is not None:
        loss = loss + config.prior_loss_weight * F.mse_loss(predicted[count:], target[count:])
    return loss * (count / config.batch_size)


def min_snr_weights(schedule: DDPMScheduler, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return what each image of a batch counts, (N, 1, 1, 1), by the signal-to-noise ratio at its
    timestep (Hang et al. 2023, arXiv:2303.09556): min(snr, gamma) / snr for a base that predicts
    the noise, min(snr, gamma) / (snr + 1) for one that predicts the velocity."""
    share = schedule.alphas_cumprod.to(timesteps.device)[timesteps].float()
    snr = share / (1 - share)
    if schedule.config.prediction_type == "v_prediction":
        weights = snr.clamp(max=gamma) / (snr + 1)
    else:
        weights = (gamma / snr).clamp(max=1.0)  # 1 where there is no signal at all
    return weights[:, None, None, None]


def _masked_mse(
    predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """Return the mean squared error; each image's by its own weights, (N, 1, h, w), which make it
    a mean all the same: a small subject counts as much as a large one."""
    if weights is None:
        return F.mse_loss(predicted, target)
    errors = F.mse_loss(predicted, target, reduction="none").mean(1, keepdim=True)
    of_each = (errors * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp_min(1e-6)
    return of_each.mean()
