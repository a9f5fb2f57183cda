"""An exponential moving average of what is trained: calmer than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from training_entrypoint.trainable import Trainable


class Average:
    """The mean of the weights over the steps, the last of them counting most:

        mean = d mean + (1 - d) weights,    d = min(decay, (1 + step) / (10 + step))

    so that the beginning is soon forgotten. It is in fp32, where the weights are.
    """

    def __init__(self, trainable: Trainable, decay: float) -> None:
        self._trainable, self.decay = trainable, decay
        self._names = [name for name, _ in trainable.named_parameters()]
        self._mean = [parameter.detach().clone() for parameter in trainable.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimiser step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mean, self._trainable.parameters(), 1 - decay)

    def state(self) -> dict[str, torch.Tensor]:
        return dict(zip(self._names, self._mean, strict=True))

    @torch.no_grad()
    def load(self, state: dict[str, torch.Tensor]) -> None:
        for name, mean in self.state().items():
            mean.copy_(state[name])

    @torch.no_grad()
    def put(self) -> None:
        """Put the mean in the place of the weights, for good."""
        for parameter, mean in zip(self._trainable.parameters(), self._mean, strict=True):
            parameter.copy_(mean)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The mean is in the place of the weights for what is done within."""
        parameters = self._trainable.parameters()
        weights = [parameter.detach().cpu().clone() for parameter in parameters]
        try:
            self.put()
            yield
        finally:
            with torch.no_grad():
                for parameter, weight in zip(parameters, weights, strict=True):
                    parameter.copy_(weight)
