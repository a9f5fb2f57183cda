"""The drawn pictures as the UNet sees them: encoded once, kept beside the autoencoder."""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from mini.train_vae import load_vae, to_model
from mini.work import save_atomically, work_path


def labelled_latents() -> tuple[torch.Tensor, np.ndarray]:
    """Latents (2N, 8, 16, 16) of all N pictures and then of their mirror images, in half precision,
    and their labels (2N, attributes). What pictures or autoencoder are newer than is made anew."""
    data = np.load(work_path("avatars.npz"))
    cache = work_path("latents.pt")
    sources = (work_path("vae.pt"), work_path("avatars.npz"))
    if not cache.exists() or cache.stat().st_mtime < max(one.stat().st_mtime for one in sources):
        save_atomically({"latents": encode(data["images"])}, cache)
    return torch.load(cache, mmap=True)["latents"], np.concatenate([data["labels"]] * 2)


@torch.no_grad()
def encode(images: np.ndarray) -> torch.Tensor:
    """Latents (2N, 8, 16, 16) of N images and of their mirror images, in half precision."""
    vae = load_vae()
    latents = []
    for mirrored in (False, True):
        pixels = images[:, :, ::-1] if mirrored else images
        for start in tqdm(range(0, len(images), 64), desc="encode"):
            x = to_model(np.ascontiguousarray(pixels[start : start + 64]))
            with torch.autocast("cpu", torch.bfloat16):
                latents.append(vae.encode(x).latent_dist.mode().half())
    return torch.cat(latents)
