"""Trains the autoencoder: 64 x 64 pixels to 16 x 16 x 8 latents and back.

    OMP_NUM_THREADS=1 python -m mini.train_vae --minutes 22 --processes 2

A third of the images have their hues turned, so that colours nobody drew (a real photo, an
edited latent) survive the round trip too. The KL weight is small: the latents get zero mean and
a more even spread afterwards, folded into `quant_conv` (`even_out`).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from tqdm import tqdm

from mini.parallel import Budget, Gradients, cosine, launch
from mini.work import EMA, save_atomically, work_path

KL_WEIGHT = 1e-4  # per latent value, beside a per-pixel loss of about 0.05
HELD_BACK = 128  # images at the end of the file that only measure
CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (32, 48, 64),
    "layers_per_block": 1,
    "latent_channels": 8,
    "norm_num_groups": 16,
    "sample_size": 64,
    "mid_block_add_attention": False,  # 3 x 3 convolutions see enough of 64 pixels
    "scaling_factor": 1.0,  # see `even_out`
    "force_upcast": False,
}


def load_vae() -> AutoencoderKL:
    """The trained autoencoder out of the work folder, its latents evened out."""
    vae = AutoencoderKL(**CONFIG)
    vae.load_state_dict(torch.load(work_path("vae.pt"))["final"])
    return vae.eval().requires_grad_(False)


def to_model(images: np.ndarray) -> torch.Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def turn_hues(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A third of the batch (N, 3, H, W) with its colour channels permuted or turned negative."""
    pixels = pixels.clone()
    for i in range(0, len(pixels), 3):
        pixels[i] = pixels[i][torch.randperm(3, generator=generator)]
        if torch.rand((), generator=generator) < 0.3:
            pixels[i] = -pixels[i]
    return pixels


@torch.no_grad()
def prepare(vae: AutoencoderKL) -> None:
    """Fresh weights that learn soon: 5 dB ahead of the default ones after 1,000 images.

    Orthogonal convolutions with residual branches that begin at zero carry the picture through
    at once; nearly noiseless latents, because unit noise would drown it.
    """
    for module in vae.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.orthogonal_(module.weight)
        if isinstance(module, ResnetBlock2D):
            torch.nn.init.zeros_(module.conv2.weight)
    vae.quant_conv.bias[CONFIG["latent_channels"] :] = -6


def loss_of(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared and absolute error, and the absolute error of gradients, which keeps eyes sharp."""
    error = out - target
    dx = error[..., :, 1:] - error[..., :, :-1]
    dy = error[..., 1:, :] - error[..., :-1, :]
    return (
        3 * error.square().mean() + error.abs().mean() + 0.5 * (dx.abs().mean() + dy.abs().mean())
    )


@torch.no_grad()
def psnr(vae: AutoencoderKL, images: np.ndarray) -> float:
    """Mean peak signal-to-noise ratio in dB, image by image, of the round trip through the mode."""
    target = to_model(images)
    out = torch.cat([vae.decode(vae.encode(x).latent_dist.mode()).sample for x in target.split(64)])
    mse = ((out.clamp(-1, 1) - target) / 2).square().mean((1, 2, 3))
    return (-10 * mse.log10()).mean().item()


@torch.no_grad()
def even_out(vae: AutoencoderKL, images: np.ndarray, power: float = 0.25) -> torch.Tensor:
    """Centres the latents and evens out their spread, in the weights; returns the spread now.

    With C the covariance of the latents' means, quant_conv's means become W (mu - m) and
    post_quant_conv undoes it; W = s C^(-power), with s for a mean variance of one. A power of 0
    leaves the spread as it is, 0.5 makes the latents white. White is too much: half of the
    directions hold little but hatching and the edges of edges (two thirds of them in the highest
    octave), and white latents give those half of the loss; a UNet trained on them for hours drew
    mush for faces. At 0.25 their share is 28%, and they still stand out of the noise before the
    last of 20 steps. A diagonal posterior does not stay diagonal under W; its log-variances are
    shifted by the log of the row norms, which is close enough at this KL weight.
    """
    moments = [vae.encode(x).latent_dist.mode() for x in to_model(images).split(64)]
    latents = torch.cat(moments).permute(1, 0, 2, 3).flatten(1).double()
    mean = latents.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(latents))
    values = values.clamp_min(1e-3 * values.max())  # a nearly dead channel must not blow up
    spread = values ** (0.5 - power)
    scale = spread.square().mean().rsqrt()
    there = scale * vectors @ torch.diag(values**-power) @ vectors.T
    back = torch.linalg.inv(there)

    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    weight, bias = quant.weight.double()[:, :, 0, 0], quant.bias.double()
    shift = torch.log((there**2).sum(1))
    quant.weight.copy_(
        torch.cat([there @ weight[:channels], weight[channels:]])[..., None, None].float()
    )
    quant.bias.copy_(torch.cat([there @ (bias[:channels] - mean), bias[channels:] + shift]).float())
    weight, bias = post.weight.double()[:, :, 0, 0], post.bias.double()
    post.bias.copy_((bias + weight @ mean).float())
    post.weight.copy_((weight @ back)[..., None, None].float())
    return scale * spread


def train(rank: int, processes: int, args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)  # the same first weights in every process
    vae = AutoencoderKL(**CONFIG)
    prepare(vae)
    parameters = list(vae.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, weight_decay=1e-3, betas=(0.9, 0.99))
    gradients = Gradients(parameters, processes)
    ema = EMA(parameters)
    images = np.load(work_path("avatars.npz"))["images"]
    held_back, images = images[-HELD_BACK:], images[:-HELD_BACK]

    path = work_path("vae.pt")
    step, spent = 0, 0.0
    if path.exists() and not args.restart:
        state = torch.load(path)
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        ema.shadow, ema.updates = state["ema"], state["step"]
        step, spent = state["step"], state["spent"]
    budget = Budget(args.minutes, args.steps, spent)
    generator = torch.Generator().manual_seed(args.seed + 1000 * step + rank)

    def save(*, final: bool = False) -> None:
        smooth = AutoencoderKL(**CONFIG).eval()
        ema.copy_to(smooth.parameters())
        state = {
            "model": vae.state_dict(),
            "optimizer": optimizer.state_dict(),
            "ema": ema.shadow,
            "step": step,
            "spent": budget.seconds(),
        }
        decibels = psnr(smooth, held_back)
        print(f"\nstep {step}, {budget.seconds() / 60:.1f} min: {decibels:.2f} dB", flush=True)
        if final:
            spread = even_out(smooth, images[:2048])
            print("spread of the directions:", [round(s, 3) for s in spread.tolist()])
            print(f"evened out: {psnr(smooth, held_back):.2f} dB", flush=True)
            state["final"] = smooth.state_dict()
        save_atomically(state, path)

    bar = tqdm(unit="step", mininterval=15, disable=rank != 0)
    while (progress := budget.progress(step, processes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = cosine(progress, args.lr)
        batch = torch.randint(len(images), (args.batch // processes,), generator=generator)
        pixels = turn_hues(to_model(images[batch.numpy()]), generator)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(pixels).latent_dist
            out = vae.decode(posterior.sample()).sample
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        loss = loss_of(out.float(), pixels) + KL_WEIGHT * kl
        loss.backward()
        gradients.average(clip=1.0)
        optimizer.step()
        gradients.zero()
        ema.update(parameters)
        step += 1
        bar.update()
        decibels = -10 * ((out.float() - pixels) / 2).square().mean().log10().item()
        bar.set_postfix(
            psnr=f"{decibels:.1f}", kl=f"{kl.item():.1f}", done=f"{progress:.0%}", refresh=False
        )
        if step % 500 == 0 and rank == 0:
            save()
    if rank == 0:
        save(final=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=16, help="over all processes")
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint")
    args = parser.parse_args()
    launch(train, args.processes, args)


if __name__ == "__main__":
    main()
