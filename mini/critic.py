"""Makes the UNet draw what quiet words say: it reads the picture that a prediction would become.

    OMP_NUM_THREADS=1 python -m mini.critic          (three minutes, in one go)

A mouth is a hundredth of the latents, so that a wrong one costs the squared error next to nothing:
after 30,000 steps a caption's expression was followed little better than by chance, at any guidance
scale. Here a small network is taught to read attributes off latents, noisy and softened ones too,
and is then kept as it is. While the UNet learns, the critic reads the clean latents that follow
from each prediction, and what it reads of the attributes that the caption tells is held against
what it reads in the picture itself (a perceptual loss, as in Lin & Yang 2023, arXiv:2401.00110).
The evaluation's judges are other networks, on pixels.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from mini.attributes import VALUES
from mini.latents import labelled_latents
from mini.parallel import cosine
from mini.reader import UNTOLD
from mini.work import save_atomically, work_path

CHANNELS = 8
# A plain background or a style needs no help: the squared error sees them.
QUIET = ("hair_style", "hair_colour", "skin", "glasses", "facial_hair", "expression", "clothes")


def _block(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(8, after), nn.SiLU()]


class Critic(nn.Module):
    """Latents (N, 8, 16, 16) to one list of logits an attribute."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.fine = nn.Sequential(*_block(CHANNELS, width), *_block(width, width))
        self.coarse = nn.Sequential(*_block(width, 2 * width, 2), *_block(2 * width, 2 * width))
        self.whole = nn.Sequential(*_block(2 * width, 2 * width, 2), nn.Flatten(), nn.Dropout(0.2))
        self.heads = nn.ModuleList(nn.Linear(32 * width, len(v)) for v in VALUES.values())

    def forward(self, latents: torch.Tensor) -> list[torch.Tensor]:
        return self.read(self.features(latents)[-1])

    def features(self, latents: torch.Tensor) -> list[torch.Tensor]:
        """What it sees at 16 x 16 and at 8 x 8."""
        fine = self.fine(latents)
        return [fine, self.coarse(fine)]

    def read(self, features: torch.Tensor) -> list[torch.Tensor]:
        """Logits by what it sees at 8 x 8."""
        whole = self.whole(features)
        return [head(whole) for head in self.heads]

    def loss(
        self,
        predicted: torch.Tensor,
        clean: torch.Tensor,
        weights: torch.Tensor,
        told: torch.Tensor,
    ) -> torch.Tensor:
        """How much less the `predicted` latents say than the `clean` ones (N, 8, 16, 16): the
        cross-entropy of the quiet attributes that are `told` (N, attributes; UNTOLD where not), and
        the distance of the features. `weights` (N,): what each picture counts."""
        with torch.no_grad():
            target = self.features(clean)
            wanted = [logits.float().softmax(-1) for logits in self.read(target[-1])]
        seen = self.features(predicted)
        read = self.read(seen[-1])
        losses = [weights * _apart(a.float(), b.float()) for a, b in zip(seen, target, strict=True)]
        for k, name in enumerate(VALUES):
            if name in QUIET:
                one = F.cross_entropy(read[k].float(), wanted[k], reduction="none")
                losses.append(weights * one * (told[:, k] != UNTOLD))
        return torch.stack(losses).sum(0).mean()


def _apart(seen: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean squared distance of two maps' unit vectors, (N,), as LPIPS measures it (Zhang et
    al. 2018, arXiv:1801.03924)."""
    difference = F.normalize(seen, dim=1) - F.normalize(wanted, dim=1)
    return difference.square().sum(1).mean((1, 2))


def disturb(latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The latents softened by a random share and under a little noise, as predictions are."""
    soft = F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = torch.rand(len(latents), 1, 1, 1, generator=generator)
    level = 0.5 * torch.rand(len(latents), 1, 1, 1, generator=generator).square()
    noise = torch.randn(latents.shape, generator=generator)
    return latents.lerp(soft, (2 * share - 1).clamp_min(0)) + level * noise


def load_critic() -> Critic:
    """The trained critic, kept as it is. Raises SystemExit where there is none of these latents."""
    path, vae = work_path("critic.pt"), work_path("vae.pt")
    if not path.exists() or path.stat().st_mtime < vae.stat().st_mtime:
        raise SystemExit(
            "No critic of this autoencoder's latents: run python -m mini.critic first."
        )
    critic = Critic()
    critic.load_state_dict(torch.load(path))
    return critic.eval().requires_grad_(False)


def train(latents: torch.Tensor, labels: torch.Tensor, args: argparse.Namespace) -> Critic:
    """A critic of these `latents` (N, 8, 16, 16) and `labels` (N, attributes)."""
    torch.manual_seed(args.seed)
    critic = Critic()
    optimizer = torch.optim.AdamW(critic.parameters(), lr=args.lr, weight_decay=0.02)
    generator = torch.Generator().manual_seed(args.seed)
    steps = args.epochs * len(latents) // args.batch
    bar = tqdm(range(steps), mininterval=5)
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = cosine(step / steps, args.lr)
        batch = torch.randint(len(latents), (args.batch,), generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits = critic(disturb(latents[batch].float(), generator))
        losses = [F.cross_entropy(one.float(), labels[batch, k]) for k, one in enumerate(logits)]
        loss = torch.stack(losses).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
    return critic.eval()


@torch.no_grad()
def accuracy(critic: Critic, latents: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    chunks = [critic(part.float()) for part in latents.split(256)]
    read = torch.stack([torch.cat(one).argmax(1) for one in zip(*chunks, strict=True)], dim=1)
    right = (read == labels).float().mean(0)
    return {name: one.item() for name, one in zip(VALUES, right, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    latents, rows = labelled_latents()
    labels = torch.from_numpy(rows).long()
    pictures = len(latents) // 2  # and their mirror images
    known = torch.arange(len(latents)) % pictures >= pictures // 50
    critic = train(latents[known], labels[known], args)
    print({k: round(v, 3) for k, v in accuracy(critic, latents[~known], labels[~known]).items()})
    save_atomically(critic.state_dict(), work_path("critic.pt"))


if __name__ == "__main__":
    main()
