"""Makes the text encoder say what its words mean, before and while the UNet learns from it.

Alone with the UNet's loss, the encoder learned loud words (a style, a background) within minutes
and quiet ones (a beard, a smile: a few pixels each) never: it treated them as the made-up words
that it has to take no notice of, so that no gradient reached them. After 22,000 steps "long beard"
and "moustache" gave the same picture. The reader asks for every attribute that a caption tells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mini.attributes import VALUES

UNTOLD = -100  # a label that counts nothing


class Reader(nn.Module):
    """Reads the attributes off the text encoder's states as cross-attention would: by queries."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(VALUES), width) * width**-0.5)
        self.keys = nn.Linear(width, width)
        self.heads = nn.ModuleList(nn.Linear(width, len(values)) for values in VALUES.values())

    def loss(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of `states` (N, tokens, width) for `labels` (N, attributes)."""
        scores = torch.einsum("aw,ntw->nat", self.queries, self.keys(states))
        read = torch.einsum("nat,ntw->naw", scores.softmax(-1), states)
        losses = [
            F.cross_entropy(head(read[:, i]).float(), labels[:, i], ignore_index=UNTOLD)
            for i, head in enumerate(self.heads)
            if (labels[:, i] != UNTOLD).any()
        ]
        return torch.stack(losses).mean()
