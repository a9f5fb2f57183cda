"""Keys and values of the prompt, computed once a drawing instead of once a step.

Cross-attention projects the text anew at every step, and the text stays the same. What comes out is
the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn


class _Remembering(nn.Module):
    """A layer that knows what it made of the same tensor before."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self._known: list[tuple[Tensor, Tensor]] = []  # with guidance, and without

    def forward(self, given: Tensor) -> Tensor:
        for seen, made in self._known:
            if seen is given:
                return made
        made = self.layer(given)
        self._known.append((given, made))
        return made


@contextmanager
def remembering(denoiser: nn.Module) -> Iterator[None]:
    """Let cross-attention remember its keys and values; afterwards all layers are as they were.

    The text's tensors and the adapters' scales must stay the same inside.
    """
    crossing = [
        layer
        for layer in denoiser.modules()
        if isinstance(layer, Attention) and layer.is_cross_attention
    ]
    own = [(layer, layer.to_k, layer.to_v) for layer in crossing]
    try:
        for layer, keys, values in own:
            layer.to_k, layer.to_v = _Remembering(keys), _Remembering(values)
        yield
    finally:
        for layer, keys, values in own:
            layer.to_k, layer.to_v = keys, values
