"""Trains the embedder: a small CLIP (Radford et al. 2021, arXiv:2103.00020) of the drawn avatars.

    OMP_NUM_THREADS=1 python -m mini.train_embedder --steps 1400

It says how alike two pictures are, and how well a picture fits its prompt, wherever no large CLIP
is at hand. Four losses, weighed together: picture against caption; picture against sentences that
say one thing (`mini.words`), since a prompt often does; two pictures of one person against other
people's (Khosla et al. 2020, arXiv:2004.11362), without which a cosine would tell backgrounds apart
and not faces; and a linear head an attribute, which is thrown away at the end and makes the others
learn in minutes. Half of the pictures are softened (`classifier.soften`),
since generated ones are soft.
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
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from mini.attributes import VALUES, from_indices
from mini.captions import caption
from mini.classifier import soften
from mini.parallel import Budget, cosine
from mini.persons import between, draw_pairs, person_loss, persons, pictures_of
from mini.train_vae import to_model
from mini.words import ATTRIBUTES, sentence
from mini.work import EMA, save_atomically, work_path

SIDE, PATCH = 64, 8
WIDTH = 192
FEATURES = 128  # of what is compared


def build(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The network with fresh weights."""
    shared = {
        "hidden_size": WIDTH,
        "intermediate_size": 512,
        "num_attention_heads": WIDTH // 32,
        "projection_dim": FEATURES,
    }
    return CLIPModel(
        CLIPConfig(
            text_config={
                **shared,
                "vocab_size": len(tokenizer),
                "num_hidden_layers": 2,
                "max_position_embeddings": tokenizer.model_max_length,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
            },
            vision_config={
                **shared,
                "image_size": SIDE,
                "patch_size": PATCH,
                "num_hidden_layers": 4,
            },
            projection_dim=FEATURES,
        )
    )


def image_features(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    """(N, 3, 64, 64) in [-1, 1] to (N, 128), not normalised: heads read more than a direction."""
    return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


def text_features(model: CLIPModel, tokenizer: CLIPTokenizer, texts: Sequence[str]) -> torch.Tensor:
    """(N, 128), not normalised."""
    tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    return model.text_projection(model.text_model(**tokens).pooler_output)


class Heads(nn.Module):
    """One softmax an attribute, linear in the image's features."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(FEATURES, len(v)) for v in VALUES.values())

    def loss(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropy over the attributes."""
        losses = [
            F.cross_entropy(head(features), labels[:, k]) for k, head in enumerate(self.heads)
        ]
        return torch.stack(losses).mean()


def words_loss(
    model: CLIPModel,
    tokenizer: CLIPTokenizer,
    seen: torch.Tensor,
    labels: torch.Tensor,
    rng: random.Random,
) -> torch.Tensor:
    """Cross-entropy of unit vectors of images (N, D) against the sentences of all values of an
    attribute, over the attributes of `mini.words`."""
    texts = [[sentence(name, value, rng) for value in VALUES[name]] for name in ATTRIBUTES]
    with torch.autocast("cpu", torch.bfloat16):
        read = text_features(model, tokenizer, [text for one in texts for text in one])
    logits = model.logit_scale.exp() * seen @ F.normalize(read.float()).T
    losses = [
        F.cross_entropy(part, labels[:, list(VALUES).index(name)])
        for name, part in zip(
            ATTRIBUTES, logits.split([len(one) for one in texts], dim=1), strict=True
        )
    ]
    return torch.stack(losses).mean()


def said(labels: np.ndarray, rng: random.Random) -> str:
    """A caption, not empty."""
    while not (text := caption(from_indices(labels), rng)):
        pass
    return text


def load_embedder() -> tuple[CLIPModel, CLIPTokenizer]:
    """The trained network out of the work folder, averaged weights, and its tokenizer."""
    tokenizer = CLIPTokenizer.from_pretrained(work_path("tokenizer"))
    model = build(tokenizer)
    model.load_state_dict(torch.load(work_path("embedder.pt"))["ema_model"])
    return model.eval(), tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=128, help="pictures: half as many persons")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    tokenizer = CLIPTokenizer.from_pretrained(work_path("tokenizer"))
    model, heads = build(tokenizer), Heads()
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.05)
    ema = EMA(model.parameters(), decay=0.995)
    data = np.load(work_path("avatars.npz"))
    images, labels = data["images"], data["labels"]
    who = persons(labels)
    pictures = pictures_of(who)

    path = work_path("embedder.pt")
    step, spent = 0, 0.0
    if path.exists() and not args.restart:
        state = torch.load(path)
        model.load_state_dict(state["model"])
        heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
        ema.shadow, ema.updates = state["ema"], state["step"]
        step, spent = state["step"], state["spent"]
    budget = Budget(args.minutes, args.steps, spent)
    rng = random.Random(f"{args.seed} {step}")
    generator = torch.Generator().manual_seed(args.seed + 100_003 * step)

    def save() -> None:
        smooth = build(tokenizer)
        ema.copy_to(smooth.parameters())
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"heads": heads.state_dict(), "ema": ema.shadow, "ema_model": smooth.state_dict()}
        save_atomically({**state, "step": step, "spent": budget.seconds()}, path)

    bar = tqdm(unit="step", mininterval=15)
    while (progress := budget.progress(step, 1)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = cosine(progress, args.lr, warmup=0.05)
        first, second = draw_pairs(rng, who, pictures, args.batch // 2)
        batch = first + second
        pixels = to_model(images[batch])
        mirrored = torch.rand(len(pixels), generator=generator) < 0.5
        pixels[mirrored] = pixels[mirrored].flip(3)
        pixels = soften(pixels, generator)
        truth = torch.from_numpy(labels[batch]).long()
        texts = [said(labels[i], rng) for i in batch]
        with torch.autocast("cpu", torch.bfloat16):
            image = image_features(model, pixels)
            text = text_features(model, tokenizer, texts)
        image, text = image.float(), text.float()
        seen, read = F.normalize(image), F.normalize(text)
        picture = torch.tensor(batch)
        losses = {
            "caption": between(
                seen * model.logit_scale.exp(), read, picture[:, None] == picture[None]
            ),
            "person": person_loss(seen, who[first]),
            "words": words_loss(model, tokenizer, seen, truth, rng),
            "attributes": heads.loss(image, truth),
        }
        loss = losses["caption"] + 0.5 * losses["person"]
        loss = loss + losses["words"] + losses["attributes"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(100)))
        ema.update(model.parameters())
        step += 1
        bar.update()
        bar.set_postfix({k: f"{v.item():.2f}" for k, v in losses.items()}, refresh=False)
        if step % 100 == 0:
            save()
    save()


if __name__ == "__main__":
    main()
