"""The words that are offered for subjects: one token each, in the tokenizer that will read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from making import micro
from training.running import make_job, tiny_config
from transformers import CLIPTokenizer

from lensa.bases import resolve_base
from lensa.contract import BASES
from lensa.contract.bases import RARE_TOKENS
from lensa.errors import ConfigError
from lensa.summary import advice
from lensa.tokens import cipher
from training_entrypoint.words import token_pieces

# Of the 48,894 merges of CLIP's vocabulary (Radford et al. 2021, arXiv:2103.00020), in their order,
# every one that can apply to a word of `words`: no other one has a say in how those are read.
EXCERPT = json.loads((Path(__file__).parent / "clip_merges.json").read_text())


def clip() -> CLIPTokenizer:
    """CLIP's tokenizer for the words of the excerpt, as transformers reads it in the container."""
    merges = [tuple(pair) for pair in EXCERPT["merges"]]
    letters = sorted(set("".join(EXCERPT["words"])))
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m) for m in merges)]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}
    for end in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[end] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def test_the_words_of_full_size_bases_are_one_token_each() -> None:
    tokenizer = clip()
    for word in RARE_TOKENS:
        assert word in EXCERPT["words"], f"{word}: the excerpt has to be made anew for it"
        assert tokenizer.tokenize(word) == [f"{word}</w>"], word
    assert all(base.tokens == RARE_TOKENS for base in BASES.values() if base.source == "hub")
    assert resolve_base("someone/some-model").tokens == RARE_TOKENS


def test_zwx_and_ukj_which_many_recipes_name_are_two() -> None:
    tokenizer = clip()
    assert tokenizer.tokenize("zwx") == ["z", "wx</w>"]
    assert tokenizer.tokenize("ukj") == ["uk", "j</w>"]


def test_the_words_of_mini_are_one_token_each_in_its_own_vocabulary() -> None:
    lensa_mini = pytest.importorskip("lensa_mini")
    tokenizer = CLIPTokenizer.from_pretrained(Path(lensa_mini.base_path()) / "tokenizer")
    for word in BASES["mini"].tokens:
        assert tokenizer.tokenize(word) == [f"{word}</w>"], word


def test_the_job_counts_the_pieces_and_writes_them_down(tmp_path: Path) -> None:
    assert token_pieces(micro(), "ohwx") == 4  # a letter each: micro has no merges
    job = make_job(tmp_path, steps=1, token="kbnftx", prior_preservation=False)
    job.run()
    assert job.manifest.token_pieces == (6,)
    assert any("'kbnftx': 6" in event["message"] for event in job.events("stage"))
    assert "a word of one piece" in job.events("notice")[0]["message"]


@pytest.mark.parametrize(
    ("name", "token", "shift"),
    [("James", "kbnft", 1), ("ada", "cfc", 2), ("Richard-2", "wnhmfw", 5), ("sarah", "xfwfm", 5)],
)
def test_a_name_turns_into_a_word_without_a_vowel(name: str, token: str, shift: int) -> None:
    assert cipher(name) == (token, shift)


@pytest.mark.parametrize("name", ["al", "7", "x-1"])
def test_a_name_that_does_not_turn_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--token"):
        cipher(name)


@pytest.mark.parametrize(("name", "word"), [("msg", "nth"), ("srj", "tsk"), ("jjj", "kkk")])
def test_a_turn_that_means_something_is_passed_over(name: str, word: str) -> None:
    turned, shift = cipher(name)
    assert turned != word
    assert shift > 1  # by one letter it would be that word


def test_a_token_of_ones_own_is_said_to_be_unknown() -> None:
    (said,) = advice(tiny_config(token="kbnft"))
    assert "none of the words that micro is known to read as one" in said
