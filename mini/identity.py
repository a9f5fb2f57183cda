"""Tells who an avatar is of: the second judge of the evaluation, beside the attributes' classifier.

    OMP_NUM_THREADS=1 python -m mini.identity

Trained on real renders of the base identities, so the people it tells apart (held-out ones) are new
to it. Two pictures of one person, in whatever style, attract each other and repel other people's
(`persons.person_loss`). Rank-1 identification: the person among `GALLERY` whose photos are nearest.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from mini.attributes import IDENTITY_FIELDS, STYLES, VALUES, draw_picture
from mini.classifier import soften, trunk
from mini.drawing import draw
from mini.parallel import cosine
from mini.persons import IDENTITY_COLUMNS, draw_pairs, person_loss, persons, pictures_of
from mini.subjects import draw_photos, subject
from mini.train_vae import to_model
from mini.work import save_atomically, work_path

FEATURES = 128
GALLERY = range(20)  # the held-out subjects among whom one is looked for
GALLERY_PHOTOS = 8  # of each
GALLERY_SEED = 1001  # of photos that no training has seen


class Encoder(nn.Module):
    """(N, 3, 64, 64) in [-1, 1] to unit vectors (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, features = trunk()
        self.project = nn.Linear(features, FEATURES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.project(self.trunk(pixels)))

    @torch.no_grad()
    def features(self, images: np.ndarray) -> torch.Tensor:
        """Of uint8 images (N, 64, 64, 3)."""
        self.eval()
        return torch.cat([self(pixels) for pixels in to_model(images).split(128)])


class Gallery:
    """The mean features of each subject's photos: (20, 128), unit vectors."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        photos = [photos_of(i, GALLERY_PHOTOS, GALLERY_SEED) for i in GALLERY]
        means = [encoder.features(one).mean(0) for one in photos]
        self.centres = F.normalize(torch.stack(means))

    def nearest(self, images: np.ndarray) -> np.ndarray:
        """The number of the nearest subject, for each image (N,)."""
        return (self.encoder.features(images) @ self.centres.T).argmax(1).numpy()


def photos_of(number: int, count: int, seed: int) -> np.ndarray:
    """Photos (count, 64, 64, 3) of a subject."""
    return np.stack([np.asarray(image) for image in draw_photos(number, count, 64, seed)])


def renders_of(number: int, styles: Sequence[str], each: int, seed: int) -> np.ndarray:
    """Real renders (styles x each, 64, 64, 3) of a subject, style by style."""
    rng = random.Random(f"renders {number} {seed}")
    who = subject(number)
    pictures = [draw_picture(rng, who, style=style) for style in styles for _ in range(each)]
    return np.stack([np.asarray(draw(picture)) for picture in pictures])


def load_encoder() -> Encoder:
    model = Encoder()
    model.load_state_dict(torch.load(work_path("identity.pt"))["model"])
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=128, help="pictures: half as many persons")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    data = np.load(work_path("avatars.npz"))
    images, labels = data["images"], data["labels"]
    who = persons(labels)
    pictures = pictures_of(who)
    model = Encoder()
    # What a person is made of, read off the features and thrown away: it makes them learn sooner.
    heads = nn.ModuleList(nn.Linear(FEATURES, len(VALUES[name])) for name in IDENTITY_FIELDS)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, weight_decay=0.02)
    path = work_path("identity.pt")
    done = 0
    if path.exists() and not args.restart:
        state = torch.load(path)
        model.load_state_dict(state["model"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["step"]
    rng = random.Random(f"{args.seed} {done}")
    generator = torch.Generator().manual_seed(args.seed + 100_003 * done)
    model.train()
    bar = tqdm(range(done, args.steps), initial=done, total=args.steps, mininterval=5)
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = cosine(step / args.steps, args.lr)
        first, second = draw_pairs(rng, who, pictures, args.batch // 2)
        batch = first + second
        pixels = to_model(images[batch])
        mirrored = torch.rand(len(pixels), generator=generator) < 0.5
        pixels[mirrored] = pixels[mirrored].flip(3)
        with torch.autocast("cpu", torch.bfloat16):  # half the time
            features = model(soften(pixels, generator))
        features = features.float()
        truth = torch.from_numpy(labels[batch][:, IDENTITY_COLUMNS]).long()
        # Unit vectors have small entries: their logits are spread as the cosines are.
        read = [F.cross_entropy(head(features * 10), truth[:, k]) for k, head in enumerate(heads)]
        person = person_loss(features, who[first])
        loss = person + torch.stack(read).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.set_postfix(person=f"{person.item():.2f}", loss=f"{loss.item():.2f}", refresh=False)
        if (step + 1) % 100 == 0 or step + 1 == args.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save_atomically({**state, "heads": heads.state_dict(), "step": step + 1}, path)

    gallery = Gallery(load_encoder())
    right = np.stack(
        [gallery.nearest(renders_of(i, STYLES, 4, seed=1)).reshape(-1, 4) == i for i in GALLERY]
    )
    print({style: f"{right[:, k].mean():.2f}" for k, style in enumerate(STYLES)})


if __name__ == "__main__":
    main()
