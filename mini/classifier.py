"""Reads an avatar's attributes off its pixels: the evaluation's judge.

Trained on real renders of the base identities, so the people it judges (held-out ones) are new to
it. Half of its training images are softened, so that sharpness alone decides nothing.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from mini.attributes import VALUES
from mini.parallel import cosine
from mini.train_vae import to_model
from mini.work import save_atomically, work_path


def trunk(width: int = 32) -> tuple[nn.Sequential, int]:
    """Convolutions from (N, 3, 64, 64) to a flat feature vector, and its length."""
    channels = [3, width, width * 2, width * 4, width * 4]
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [
            nn.Conv2d(before, after, 4, stride=2, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2)), channels[-1] * 16


class Classifier(nn.Module):
    """One softmax an attribute over a shared trunk: (N, 3, 64, 64) in [-1, 1] to {name: logits}."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, features = trunk()
        self.heads = nn.ModuleDict({k: nn.Linear(features, len(v)) for k, v in VALUES.items()})

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.trunk(pixels)
        return {name: head(features) for name, head in self.heads.items()}

    @torch.no_grad()
    def predict(self, pixels: torch.Tensor) -> np.ndarray:
        """The likeliest value of every attribute, (N, attributes), in the order of `VALUES`."""
        self.eval()
        chunks = [self(x) for x in pixels.split(128)]
        return np.stack(
            [torch.cat([c[name] for c in chunks]).argmax(1).numpy() for name in VALUES], axis=1
        )


def soften(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image of the batch blended with its 3 x 3 box blur, by a random half or none of it."""
    blurred = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = (torch.rand(len(pixels), 1, 1, 1, generator=generator) * 2 - 1).clamp_min(0)
    return pixels.lerp(blurred, share)


def load_classifier() -> Classifier:
    model = Classifier()
    model.load_state_dict(torch.load(work_path("classifier.pt"))["model"])
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    data = np.load(work_path("avatars.npz"))
    images, labels = data["images"], torch.from_numpy(data["labels"]).long()
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.02)
    generator = torch.Generator().manual_seed(args.seed)
    path = work_path("classifier.pt")
    done = 0
    if path.exists():
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["epoch"]
    for epoch in range(done, args.epochs):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        bar = tqdm(order.split(args.batch), desc=f"epoch {epoch + 1}", mininterval=5)
        for i, batch in enumerate(bar):
            progress = (epoch + i / len(bar)) / args.epochs
            for group in optimizer.param_groups:
                group["lr"] = cosine(progress, args.lr)
            pixels = soften(to_model(images[batch.numpy()]), generator)
            with torch.autocast("cpu", torch.bfloat16):  # half the time
                logits = model(pixels)
            losses = [
                F.cross_entropy(logits[name].float(), labels[batch, k])
                for k, name in enumerate(VALUES)
            ]
            loss = torch.stack(losses).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        save_atomically({**state, "epoch": epoch + 1}, path)


if __name__ == "__main__":
    main()
