"""FID (Heusel et al. 2017, arXiv:1706.08500) and KID (Binkowski et al. 2018, arXiv:1801.01401) of
a validation's images against the class images, by torchmetrics, over any embedder's features.

Both compare distributions, and a validation has a handful of images: the numbers tell one step from
another at best, and the interval how little that may be. FID is biased by the number of images, so
that it cannot be held against anybody else's; KID is not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lensa.contract import Interval
from training_entrypoint.measuring.likeness import known

LEAST = 2  # images; a covariance wants as many
_RESAMPLES, _SUBSETS = 40, 20

Score = Callable[[Tensor, Tensor], float]


def fid(images: Tensor, classes: Tensor, seed: int) -> Interval | None:
    """Return the Frechet distance of features (N, D) and (M, D); None of fewer than 2 images."""
    return _with_bounds(_fid, images, classes, seed)


def kid(images: Tensor, classes: Tensor, seed: int) -> Interval | None:
    """Return the kernel distance of features (N, D) and (M, D); None of fewer than 2 images."""
    return _with_bounds(_kid, images, classes, seed)


def _with_bounds(score: Score, images: Tensor, classes: Tensor, seed: int) -> Interval | None:
    """Return a score with the bounds of 95% of its bootstrap (Efron 1979), moved to lie about the
    score: an image that is drawn twice is nearer to itself than any two are."""
    images, classes = known(images), known(classes)
    if min(len(images), len(classes)) < LEAST:
        return None
    images, classes = _flattened(images, classes)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a buffer that might grow large
        torch.manual_seed(seed)  # torchmetrics draws from the global state
        value = score(images, classes)
        again = torch.tensor(
            [score(_resampled(images), _resampled(classes)) for _ in range(_RESAMPLES)]
        )
    low, high = torch.quantile(again, torch.tensor([0.025, 0.975])) - again.mean() + value
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))


def _resampled(rows: Tensor) -> Tensor:
    """Return as many rows drawn with replacement, two different ones at least."""
    while len(set(picks := torch.randint(len(rows), (len(rows),)).tolist())) < LEAST:
        pass
    return rows[picks]


def _flattened(images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in as few dimensions as they span, which changes neither distance of features
    (a rotation) and makes a matrix of 512 x 512 one of a hundred. A coordinate gets about unit
    variance, as the kernel of KID expects it."""
    both = torch.cat([images, classes]).double()
    width = both.shape[1]
    if len(both) < width:
        basis = torch.linalg.svd(both, full_matrices=False).Vh
        both = both @ basis.T
    both = both * width**0.5
    return both[: len(images)], both[len(images) :]


def _fid(images: Tensor, classes: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(_Features(images.shape[1])).set_dtype(torch.float64)
    metric.update(classes, real=True)
    metric.update(images, real=False)
    return float(metric.compute())


def _kid(images: Tensor, classes: Tensor) -> float:
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(images), len(classes))
    metric = KernelInceptionDistance(_Features(images.shape[1]), _SUBSETS, size)
    metric.update(classes, real=True)
    metric.update(images, real=False)
    return float(metric.compute()[0])


class _Features(nn.Module):
    """What torchmetrics takes for a network: the features are there already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features
