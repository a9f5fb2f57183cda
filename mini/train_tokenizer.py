"""Trains the tokenizer: CLIP's byte-pair encoding, a vocabulary that fits the captions.

    python -m mini.train_tokenizer

The alphabet is all 256 bytes, so any prompt encodes; the merges come from the captions, plus one
whole-word merge chain for each subject token, which training captions never contain.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from itertools import pairwise

import numpy as np
from transformers import CLIPTokenizer

from mini.attributes import from_indices
from mini.captions import DUMMY_TOKENS, SUBJECT_TOKENS, caption
from mini.work import work_path

LENGTH = 77  # tokens a prompt, CLIP's
# Words the captions lack and prompts are full of: whole tokens read better than letters.
_COMMON = (
    "the of and in with as at man woman boy girl dog cat child photo picture image painting "
    "drawing anime comic cartoon illustration digital art cinematic realistic beautiful cute cool "
    "knight wizard robot king queen doctor pirate superhero viking samurai city street mountain "
    "garden beach snow space castle gold silver orange brown dark light fantasy cyberpunk vintage "
    "retro style toy object thing headshot wearing standing sitting"
)
COMMON = _COMMON.split()


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    stand_in = {byte: chr(byte) for byte in printable}
    spare = iter(range(256, 512))
    return [stand_in[byte] if byte in stand_in else chr(next(spare)) for byte in range(256)]


def train_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair merges (Sennrich et al. 2016) of lower-case `words`, the commonest pair first."""
    split = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))  # ties by spelling: repeatable
        merges.append(best)
        split = {word: _merge(parts, best) for word, parts in split.items()}
    return merges


def _merge(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair and not out[-1].endswith("</w>"):
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


def build(captions: list[str]) -> CLIPTokenizer:
    """A CLIPTokenizer whose single tokens are the captions' words and the subject tokens."""
    words: Counter[str] = Counter()
    for text in captions:
        words.update(w for w in "".join(c if c.isalnum() else " " for c in text).split())
    words.update(dict.fromkeys((*COMMON, *DUMMY_TOKENS), 1))
    merges = train_merges(words, 4000)
    for token in SUBJECT_TOKENS:  # s k s</w>: a chain of its own, after all others
        parts: tuple[str, ...] = (*token[:-1], token[-1] + "</w>")
        for merge in merges:
            parts = _merge(parts, merge)
        while len(parts) > 1:
            merge = (parts[0], parts[1])
            merges.append(merge)
            parts = _merge(parts, merge)
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(f"{c}</w>" for c in alphabet), *("".join(m) for m in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LENGTH)


def sample_captions(count: int, seed: int) -> list[str]:
    """Captions of the drawn pictures, for vocabularies and for reading."""
    labels = np.load(work_path("avatars.npz"))["labels"]
    rng = random.Random(seed)
    return [caption(from_indices(rng.choice(labels)), rng) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="captions to learn from")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    captions = sample_captions(args.count, args.seed)
    tokenizer = build(captions)
    folder = work_path("tokenizer")
    tokenizer.save_pretrained(folder)
    again = CLIPTokenizer.from_pretrained(folder)
    for token in SUBJECT_TOKENS:
        ids = again(f"a photo of {token} person").input_ids
        if ids != tokenizer(f"a photo of {token} person").input_ids or len(ids) != 7:
            raise RuntimeError(f"{token} does not survive saving as one token: {ids}")
    longest = max(len(again(text).input_ids) for text in captions[:2000])
    print(f"{len(again)} tokens, longest caption {longest}, saved to {folder}")


if __name__ == "__main__":
    main()
