"""Photos and class images as latent moments, decoded and encoded once.

The VAE is frozen, so an image's latent distribution never changes: its mean and deviation are kept
and sampled anew at every step, which is what encoding it anew at every step would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image

from lensa.errors import PhotosError
from training_entrypoint.randomness import generator

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder, by name."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


@dataclass(frozen=True)
class Crop:
    """A square part of an image: `side` of its shorter side, `across` and `down` of the way."""

    side: float = 1.0
    across: float = 0.5
    down: float = 0.5

    def of(self, image: Image.Image, size: int) -> Image.Image:
        """Return the part, `size` pixels squared."""
        side = self.side * min(image.size)
        left, top = self.across * (image.width - side), self.down * (image.height - side)
        box = (left, top, left + side, top + side)
        return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def random_crop(seed: int, index: int) -> Crop:
    """Return crop number `index`: at least four fifths of a side, so that a head stays on it."""
    side, across, down = torch.rand(3, generator=generator(seed, "crop", index)).tolist()
    return Crop(1 - side / 5, across, down)


def read_photo(path: Path) -> Image.Image:
    """Return an image file decoded, as RGB; with its alpha channel if it has one."""
    try:
        with Image.open(path) as file:
            return file.convert("RGBA" if "A" in file.getbands() else "RGB")
    except DAMAGED as error:
        raise PhotosError(
            f"{path.name} cannot be read any more: {error}. Upload it again."
        ) from None


def pixels_of(image: Image.Image, size: int, crop: Crop = Crop()) -> torch.Tensor:
    """Return a part of an image as (3, size, size) in [-1, 1]."""
    square = crop.of(image.convert("RGB"), size)
    pixels = np.asarray(square, dtype=np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)


def has_mask(path: Path) -> bool:
    """Whether an image has an alpha channel, which is its mask. A damaged one has none."""
    try:
        with Image.open(path) as file:
            return "A" in file.getbands()
    except DAMAGED:
        return False  # `read_photo` says what is wrong with it


def mask_of(image: Image.Image, size: int, crop: Crop = Crop()) -> torch.Tensor:
    """Return where the subject is, (1, size, size) in [0, 1]; 1 throughout without a mask."""
    if "A" not in image.getbands():
        return torch.ones(1, size, size)
    square = crop.of(image.getchannel("A"), size)
    return torch.from_numpy(np.asarray(square, dtype=np.float32) / 255)[None]


@dataclass(frozen=True)
class Latents:
    """The latent distributions of N images: `mean` and `deviation`, (N, C, h, w) each, unscaled.

    `masks`, (N, 1, h, w) in [0, 1], are how much of each place is the subject's.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    scale: float
    shift: float
    masks: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def sample(self, picks: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Draw one latent for each picked image: (len(picks), C, h, w), scaled for the UNet."""
        mean, deviation = self.mean[list(picks)], self.deviation[list(picks)]
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        return (mean + deviation * noise - self.shift) * self.scale

    def weights(self, picks: Sequence[int], unmasked: float) -> torch.Tensor | None:
        """Return what each place of the picked images counts, (len(picks), 1, h, w): 1 where the
        subject is, `unmasked` where it is not. None without masks."""
        if self.masks is None:
            return None
        return unmasked + (1 - unmasked) * self.masks[list(picks)]


@torch.no_grad()
def encode(
    vae: AutoencoderKL,
    files: Sequence[Path],
    size: int,
    *,
    crops: int = 1,
    seed: int = 0,
    flip: bool = False,
    masked: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Latents:
    """Encode image files: each one's middle square and `crops - 1` random parts of it, one after
    the other, with their mirror images behind them if `flip`.

    `masked`: with the masks in their alpha channels. `check` is called before each file; it may
    raise.
    """
    means, deviations, masks = [], [], []
    for index, path in enumerate(files):
        check()
        photo = read_photo(path)  # once, whatever its size: a step sees latents alone
        for number in range(crops):
            crop = random_crop(seed, index * crops + number) if number else Crop()
            pixels = pixels_of(photo, size, crop)
            mask = mask_of(photo, size, crop) if masked else None
            for turned in (False, True) if flip else (False,):
                view = pixels.flip(-1) if turned else pixels
                posterior = vae.encode(view[None].to(vae.device, vae.dtype)).latent_dist
                means.append(posterior.mean.float())
                deviations.append(posterior.std.float())
                if mask is not None:
                    part = mask.flip(-1) if turned else mask
                    masks.append(F.adaptive_avg_pool2d(part[None], means[-1].shape[-2:]))
    return Latents(
        mean=torch.cat(means),
        deviation=torch.cat(deviations),
        scale=vae.config.scaling_factor,
        shift=vae.config.shift_factor or 0.0,
        masks=torch.cat(masks).to(vae.device) if masked else None,
    )
