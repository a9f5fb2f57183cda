"""Prompts longer than the text encoder reads at a time: none of it is cut."""

from __future__ import annotations

import sys

import pytest
import torch
from making import config as training_config
from making import micro, train_a_little
from torch import Tensor

from inference_entrypoint.conditioning import MAX_TOKENS, condition, token_count
from inference_entrypoint.families import family_of
from lensa.errors import ConfigError

# To `micro` a letter is a token, and so is a comma.
LONG = ", ".join(f"phrase{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")


def encoded(prompt: str) -> Tensor:
    with torch.no_grad():
        return family_of(micro()).encode_prompts(micro(), [prompt])[0]


def read(prompt: str, negative: str | None = None) -> Tensor:
    with torch.no_grad():
        found = condition(micro(), prompt, negative)
    return found.prompt


@pytest.mark.parametrize(
    "prompt", ["", "   ", "a photo", "x" * 75, "don't, a\nb\t😀 é", "a: b, 1:2"]
)
def test_a_short_prompt_is_read_as_it_always_was(prompt: str) -> None:
    assert torch.equal(read(prompt), encoded(prompt))


def test_a_long_prompt_is_read_in_chunks() -> None:
    assert token_count(micro(), LONG) == 26 * 8 - 1
    found = read(LONG)
    assert found.shape == (3 * 77, 32)
    # Nine phrases of eight tokens to a chunk: each ends with a comma.
    phrases = LONG.split(", ")
    chunks = [", ".join(phrases[:9]) + ",", ", ".join(phrases[9:18]) + ",", ", ".join(phrases[18:])]
    assert torch.equal(found, torch.cat([encoded(chunk) for chunk in chunks]))


def test_the_last_word_of_a_long_prompt_counts() -> None:
    assert not torch.equal(read(LONG + " red"), read(LONG + " blue"))


def test_a_chunk_ends_at_a_comma_near_its_end() -> None:
    prompt = "a " * 60 + "b, " + "c " * 20
    assert torch.equal(read(prompt)[:77], encoded("a " * 60 + "b,"))


def test_a_comma_far_from_the_end_ends_no_chunk() -> None:
    prompt = "a " * 40 + "b, " + "c " * 40
    assert torch.equal(read(prompt)[:77], encoded("a " * 40 + "b, " + "c " * 33))


def test_words_stay_whole_where_they_can() -> None:
    prompt = "a " * 70 + "twelve-words"
    assert torch.equal(read(prompt), torch.cat([encoded("a " * 70), encoded("twelve-words")]))


def test_commas_without_spaces_separate_too() -> None:
    assert torch.equal(read(LONG.replace(", ", ",")), read(LONG))


@pytest.mark.parametrize("word", ["x" * 400, "😀" * 100, "中" * 130])
def test_a_word_longer_than_a_chunk_is_parted(word: str) -> None:
    found = read(word)
    assert len(found) % 77 == 0 and torch.isfinite(found).all()
    assert len(found) // 77 >= token_count(micro(), word) / 75


@pytest.mark.parametrize(("prompt", "negative"), [(LONG, "ugly"), ("a photo", LONG), (LONG, "")])
def test_prompt_and_negative_are_equally_long(prompt: str, negative: str) -> None:
    with torch.no_grad():
        found = condition(micro(), prompt, negative)
    assert found.negative is not None
    assert found.prompt.shape == found.negative.shape == (3 * 77, 32)
    shorter = found.negative if prompt == LONG else found.prompt
    text = negative if prompt == LONG else prompt
    assert torch.equal(shorter, torch.cat([encoded(text), encoded(""), encoded("")]))


def test_without_guidance_there_is_no_negative() -> None:
    assert condition(micro(), "a photo", None).negative is None


def test_too_many_tokens_are_refused_and_counted() -> None:
    assert len(read("a " * MAX_TOKENS)) == 16 * 77
    with pytest.raises(ConfigError, match=r"generation: prompt: it has 1,201 tokens.*shorten it"):
        condition(micro(), "a " * (MAX_TOKENS + 1), None)
    with pytest.raises(ConfigError, match=r"generation: negative_prompt: it has 9,999 tokens"):
        condition(micro(), "a photo", "y" * 9_999)


@pytest.mark.parametrize(
    "prompt",
    [
        "a\x00b\x07c" * 30,
        "e\u0301" * 80,
        "\u202e right to left \u200d" * 10,
        ",," * 60,
        "a,b" * 60,
        "<|endoftext|> " * 90,
        "<|startoftext|>" * 90,
    ],
)
def test_odd_characters_are_read(prompt: str) -> None:
    found = read(prompt)
    assert len(found) % 77 == 0 and torch.isfinite(found).all()


def test_no_weights_no_compel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cold start does not pay for what most prompts never need."""
    monkeypatch.setitem(sys.modules, "compel.embeddings_provider", None)  # importing it would fail
    assert len(read(LONG, "ugly")) == 3 * 77
    with pytest.raises(ImportError):
        read("(word:1.3)")


def test_an_adapter_in_the_text_encoder_is_heard() -> None:
    pipeline = train_a_little(training_config(train_text_encoder=True))
    with torch.no_grad():
        found = condition(pipeline, f"(phrase:1.3), [other], {LONG}", "(ugly:1.2)")
    assert found.negative is not None and found.negative.shape == found.prompt.shape
    assert not torch.allclose(found.prompt, read(f"(phrase:1.3), [other], {LONG}"))
