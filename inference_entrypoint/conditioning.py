"""Prompts of any length, with emphasis, into what the denoiser reads.

A text encoder reads 77 tokens, a start, an end and 75 between. A longer prompt is read in chunks,
each with a start and an end of its own, whose encodings stand one behind the other: cross-attention
takes any number of them. Weights are applied by the library compel, which moves a token's
encoding away from that of the empty prompt, or for weights below 1 toward what the encoder reads
when the word is masked. What holds no weight never goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from inference_entrypoint.families import family_of
from lensa.contract.emphasis import Fragment, fragments
from lensa.errors import ConfigError

MAX_TOKENS = 1200  # 16 chunks: what a step's cross-attention costs grows with them

_MARKS = 2  # start and end
_NEAR = 20  # tokens back from the end of a chunk in which a comma is looked for

# Between words, and behind the comma of "red,blue": a tokenizer reads the parts as it reads the
# whole.
_PIECE = re.compile(r"\S+?,(?=[^\W_])|\S+")


@dataclass(frozen=True)
class Conditioning:
    """A prompt and its negative, encoded."""

    prompt: Tensor  # [tokens, width], tokens a multiple of 77
    negative: Tensor | None  # the same shape; None without guidance


def condition(pipeline: DiffusionPipeline, prompt: str, negative: str | None) -> Conditioning:
    """Return the encodings, the shorter one filled up with those of empty chunks.

    A prompt without weights that fits one chunk gives what the family's `encode_prompts` gives, bit
    for bit. Raises ConfigError for emphasis that is wrong and for more than 1,200 tokens.
    """
    texts = [_encode(pipeline, prompt, "prompt")]
    if negative is not None:
        texts.append(_encode(pipeline, negative, "negative_prompt"))
    longest = max(map(len, texts))
    if any(len(text) < longest for text in texts):
        empty = family_of(pipeline).encode_prompts(pipeline, [""])[0]
        missing = [(longest - len(text)) // len(empty) for text in texts]
        texts = [torch.cat([t, *[empty] * n]) for t, n in zip(texts, missing, strict=True)]
    return Conditioning(texts[0], texts[1] if negative is not None else None)


def token_count(pipeline: DiffusionPipeline, prompt: str) -> int:
    """Return how many tokens a prompt has, without start and end and the syntax of emphasis.

    Raises ConfigError for emphasis that is wrong.
    """
    return sum(_tokens(pipeline, fragment.text) for fragment in fragments(prompt))


@dataclass(frozen=True)
class _Piece:
    text: str
    weight: float
    tokens: int


def _encode(pipeline: DiffusionPipeline, prompt: str, field: str) -> Tensor:
    """Return [tokens, width]."""
    family = family_of(pipeline)
    found = fragments(prompt, field=field)
    count = sum(_tokens(pipeline, fragment.text) for fragment in found)
    if count > MAX_TOKENS:
        raise ConfigError(
            f"generation: {field}: it has {count:,} tokens, and {MAX_TOKENS:,} are read at most: "
            "shorten it."
        )
    room = _room(pipeline)
    if count <= room and all(fragment.weight == 1 for fragment in found):
        return family.encode_prompts(pipeline, ["".join(part.text for part in found)])[0]
    pieces = [p for fragment in found for p in _pieces(pipeline, fragment, room)]
    chunks = [_joined(chunk) for chunk in _packed(pieces, room)]
    return torch.cat([_encode_chunk(pipeline, chunk) for chunk in chunks])


def _encode_chunk(pipeline: DiffusionPipeline, chunk: list[Fragment]) -> Tensor:
    """Return [77, width] of at most 75 tokens."""
    family = family_of(pipeline)
    if all(fragment.weight == 1 for fragment in chunk):
        return family.encode_prompts(pipeline, [" ".join(part.text for part in chunk)])[0]
    from compel.embeddings_provider import EmbeddingsProvider  # few prompts pay for its import

    encoder = family.text_encoder(pipeline)
    provider = EmbeddingsProvider(
        pipeline.tokenizer, encoder, model_max_length=_room(pipeline) + _MARKS
    )
    return provider.get_embeddings_for_weighted_prompt_fragments(
        [[fragment.text for fragment in chunk]],
        [[fragment.weight for fragment in chunk]],
        device=encoder.device,
    )[0]


def _pieces(pipeline: DiffusionPipeline, fragment: Fragment, room: int) -> Iterator[_Piece]:
    """Yield a fragment's words. A word longer than a chunk comes in parts."""
    text = fragment.text
    for mark in pipeline.tokenizer.all_special_tokens:  # a start or an end is not to be written
        text = text.replace(mark, " ")
    waiting = _PIECE.findall(text)[::-1]
    while waiting:
        word = waiting.pop()
        tokens = _tokens(pipeline, word)
        if tokens > room:
            middle = len(word) // 2
            waiting += [word[middle:], word[:middle]]
        elif tokens:
            yield _Piece(word, fragment.weight, tokens)


def _packed(pieces: list[_Piece], room: int) -> list[list[_Piece]]:
    """Fill chunks in order. One that is full ends at its last comma, if that is near its end."""
    chunks: list[list[_Piece]] = [[]]
    used = 0
    for piece in pieces:
        if used + piece.tokens > room:
            tail: list[_Piece] = []
            while chunks[-1] and not chunks[-1][-1].text.endswith(","):
                tail.insert(0, chunks[-1].pop())
            over = sum(part.tokens for part in tail)
            if over > min(_NEAR, room - piece.tokens):
                chunks[-1] += tail
                tail, over = [], 0
            chunks.append(tail)
            used = over
        chunks[-1].append(piece)
        used += piece.tokens
    return chunks


def _joined(chunk: list[_Piece]) -> list[Fragment]:
    """Put the words of equal weight that stand together into one text."""
    return [
        Fragment(" ".join(piece.text for piece in run), weight)
        for weight, run in groupby(chunk, key=lambda piece: piece.weight)
    ]


def _tokens(pipeline: DiffusionPipeline, text: str) -> int:
    return family_of(pipeline).token_count(pipeline, text)[0] - _MARKS


def _room(pipeline: DiffusionPipeline) -> int:
    """The tokens of a chunk between start and end: 75."""
    return family_of(pipeline).token_count(pipeline, "")[1] - _MARKS
