"""What the packaged embedder can tell: captions from captions, and people from people.

Everything is asked about held-out people, on real renders. `Embedder` also reads single attributes
by their words alone (zero-shot), which needs nothing but the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPModel, CLIPTokenizer

import lensa_mini
from mini.attributes import STYLES, VALUES, from_indices
from mini.captions import describe
from mini.draw import draw_one
from mini.identity import GALLERY, renders_of
from mini.prompt_following import visible
from mini.train_vae import to_model
from mini.words import ATTRIBUTES, sentence

COUNT = 240
SEED = 4  # of the pictures; figure 1 and the trainings have others
EACH = 2  # renders of each person in each style


class Embedder:
    """The packaged CLIP: unit vectors of images and of texts."""

    def __init__(self) -> None:
        folder = lensa_mini.embedder_path()
        self.model = CLIPModel.from_pretrained(folder).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def images(self, images: np.ndarray) -> torch.Tensor:
        """(N, D) of uint8 images (N, 64, 64, 3)."""
        pixels = to_model(images)
        seen = [self.model.vision_model(pixel_values=x).pooler_output for x in pixels.split(128)]
        return F.normalize(self.model.visual_projection(torch.cat(seen)))

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """(N, D)"""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        return F.normalize(
            self.model.text_projection(self.model.text_model(**tokens).pooler_output)
        )

    def read(self, images: np.ndarray, attribute: str) -> np.ndarray:
        """The value of an attribute (N,) whose sentence fits each image best."""
        sentences = [sentence(attribute, value) for value in VALUES[attribute]]
        return (self.images(images) @ self.texts(sentences).T).argmax(1).numpy()


def embedder_figure(_: object = None) -> dict[str, Any]:
    """Retrieval among `COUNT` held-out pictures, attributes by words, and same person or not."""
    embedder = Embedder()
    drawn = [draw_one((i, SEED, True)) for i in range(COUNT)]
    images = np.stack([pixels for pixels, _ in drawn])
    labels = np.array([row for _, row in drawn])
    scores = embedder.images(images) @ embedder.texts(
        [describe(from_indices(row)) for row in labels]
    ).T  # fmt: skip
    renders = np.stack([renders_of(number, STYLES, EACH, SEED) for number in GALLERY])
    features = embedder.images(renders.reshape(-1, 64, 64, 3)).numpy()
    features = features.reshape(len(GALLERY), len(STYLES), EACH, -1)
    photos = features[:, :1].reshape(len(GALLERY), EACH, -1)
    styled = features[:, 1:].reshape(len(GALLERY), EACH * (len(STYLES) - 1), -1)
    return {
        "megabytes": round(
            sum(f.stat().st_size for f in lensa_mini.embedder_path().iterdir()) / 1e6, 2
        ),
        "pictures": COUNT,
        "caption_of_picture": retrieval(scores),
        "picture_of_caption": retrieval(scores.T),
        "words": {
            name: round(accuracy(embedder.read(images, name), labels, name), 4)
            for name in ATTRIBUTES
        },
        "people": len(GALLERY),
        "same_person_auc": {
            "photos": round(same_person(photos, photos), 4),
            "photo_and_style": round(same_person(photos, styled), 4),
        },
    }


def accuracy(read: np.ndarray, labels: np.ndarray, name: str) -> float:
    seen = visible(name, labels)
    return float((read[seen] == labels[seen, list(VALUES).index(name)]).mean())


def retrieval(scores: torch.Tensor) -> dict[str, float]:
    """How often a row's own column (its place on the diagonal) is the first, or among five."""
    place = (scores > scores.diagonal()[:, None]).sum(1)
    return {
        "first": round(float((place < 1).float().mean()), 4),
        "among_five": round(float((place < 5).float().mean()), 4),
        "chance": round(1 / len(scores), 4),
    }


def same_person(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The chance that two pictures of one person are more alike than two of two people: the area
    under the ROC curve, over all pairs of `ours` (people, n, D) and `theirs` (people, m, D)."""
    alike = np.einsum("pnd,qmd->pqnm", ours, theirs)
    people = len(ours)
    same = alike[np.arange(people), np.arange(people)].ravel()
    if ours is theirs:  # a picture and itself are no pair
        n = ours.shape[1]
        same = alike[np.arange(people), np.arange(people)][:, ~np.eye(n, dtype=bool)].ravel()
    other = alike[~np.eye(people, dtype=bool)].ravel()
    order = np.sort(other)
    below = np.searchsorted(order, same, "left") + np.searchsorted(order, same, "right")
    return float((below / 2 / len(order)).mean())
