"""The prompt expander: the user's words in front, and the same continuation for the same seed."""

from __future__ import annotations

import pytest
from making import micro

from inference_entrypoint.blocklist import blocked
from inference_entrypoint.conditioning import token_count
from inference_entrypoint.expand import MagicPrompt, load_expander, tidy
from inference_entrypoint.generate import generate
from inference_entrypoint.micro import build_micro_expander
from lensa.contract import GenerationRequest
from lensa.errors import BaseModelError

NAMES = {"subject": "ohwx person", "class_noun": "person"}
PROMPTS = ["a photo of ohwx person as an astronaut", "x", "Ünïcode 😀, {odd} (things:1.2)", ""]


@pytest.fixture(scope="module")
def expander() -> MagicPrompt:
    found = load_expander("generated:micro")
    assert found is not None
    return found


def test_the_users_words_stay_in_front_verbatim(expander: MagicPrompt) -> None:
    for prompt, expanded in zip(PROMPTS, expander.expand(PROMPTS, [1, 2, 3, 4]), strict=True):
        assert expanded.startswith(prompt) and len(expanded) > len(prompt)


def test_a_continuation_depends_on_its_prompt_and_seed_alone(expander: MagicPrompt) -> None:
    together = expander.expand(PROMPTS, [1, 2, 3, 4])
    alone = [expander.expand([p], [s])[0] for p, s in zip(PROMPTS, [1, 2, 3, 4], strict=True)]
    backwards = expander.expand(PROMPTS[::-1], [4, 3, 2, 1])[::-1]
    assert together == alone == backwards


def test_other_seeds_write_other_words(expander: MagicPrompt) -> None:
    assert len(set(expander.expand(["a cat"] * 8, list(range(8))))) == 8


def test_a_prompt_longer_than_the_context_is_kept(expander: MagicPrompt) -> None:
    prompt = "word " * 2000 + "end"
    assert expander.expand([prompt], [1])[0].startswith(prompt + ", ")


@pytest.mark.parametrize(
    ("prompt", "written", "ended", "expected"),
    [
        ("a cat", ", 4k, sharp", True, ", 4k, sharp"),
        ("a cat", ", 4k, unfinish", False, ", 4k"),
        ("a cat", " in a hat, 4k, x", False, " in a hat, 4k"),
        ("a cat", "alogue, 4k", True, ", 4k"),  # "catalogue" would be another word
        ("a cat", "s in hats, 4k", True, " in hats, 4k"),
        ("a cat,", " 4k", True, " 4k"),
        ("a cat, 4k", ", 4K, 4k, hdr", True, ", hdr"),  # each once
        ("a cat", ", (((epic))) [x:y] | {z} <lora:q>, é", True, ", epic x y z lora q, é"),
        ("a cat", ", 4k\nsecond line, 8k", True, ", 4k"),
        ("a cat", ", hat::5, 4k --ar 16:9, (word:1.2), 16:9", True, ", hat, 4k, word, 16 9"),
        ("a cat", "", True, ""),
        ("a cat", ", , .,", True, ""),
        ("", " a dog, 4k", True, "a dog, 4k"),
    ],
)
def test_what_is_written_is_made_tidy(
    prompt: str, written: str, ended: bool, expected: str
) -> None:
    assert tidy(prompt, written, ended) == expected


def test_each_image_gets_a_continuation_of_its_own(expander: MagicPrompt) -> None:
    def drawn(**options: object) -> list[str]:
        request = GenerationRequest(prompt="x", count=4, seed=4, steps=1, expand=True)
        return generate(micro(), request, expander=expander, **NAMES, **options).prompts

    prompts = drawn()
    assert len(set(prompts)) > 1
    assert drawn(indices=[2]) == prompts[2:3]  # whatever the batch


def test_an_expansion_is_not_cut_to_what_is_read_at_a_time(expander: MagicPrompt) -> None:
    request = GenerationRequest(prompt="in " + "x" * 60, count=4, seed=4, steps=1, expand=True)
    result = generate(micro(), request, expander=expander, **NAMES)
    assert max(token_count(micro(), prompt) for prompt in result.prompts) > 75
    assert result.warnings == []
    assert all(prompt.startswith("a photo of ohwx person in xxx") for prompt in result.prompts)


@pytest.mark.parametrize(
    "prompt", ["a (cat:1.3), [hat]", r"a \(cat\)", "(a cat", "a :) cat", "((("]
)
def test_brackets_stay_the_users(expander: MagicPrompt, prompt: str) -> None:
    for text in expander.expand([prompt] * 8, list(range(8))):
        assert text.startswith(prompt) and not set(text[len(prompt) :]) & set("()[]{}<>:\\|")


def test_the_model_reads_the_prompt_without_weights(expander: MagicPrompt) -> None:
    usual, weighted = expander.expand(["a red hat", "a (red:1.3) hat"], [3, 3])
    assert weighted == "a (red:1.3) hat" + usual.removeprefix("a red hat")
    assert tidy("a cat, (soft light:1.2)", ", soft light, 4k", True) == ", 4k"


@pytest.mark.parametrize(
    "phrase",
    [
        "art by Greg Rutkowski and Alphonse Mucha",
        "ARTGERM",
        "by simon stålenhag",
        "simon stalenhag style",
        "bastien lecouffe-deharme",
        "sexy pose",
        "blood-stained coat",
        "portrait of a woman",
        "her face",
    ],
)
def test_a_phrase_that_is_blocked_is_dropped(phrase: str) -> None:
    assert tidy("a cat", f", 4k, {phrase}, sharp", True) == ", 4k, sharp"
    assert tidy("a cat", f" {phrase}", True) == ""


@pytest.mark.parametrize(
    "phrase",
    ["soft light", "human", "manga", "shed", "therapy", "claude monet", "bloodhound", "brass"],
)
def test_words_that_only_look_alike_stay(phrase: str) -> None:
    assert not blocked(phrase)


def test_the_users_own_words_are_never_blocked(expander: MagicPrompt) -> None:
    prompt = "a man with blood on his hands, by artgerm"
    assert expander.expand([prompt], [1])[0].startswith(prompt + ", ")


def test_where_it_comes_from(tmp_path) -> None:
    assert load_expander(None) is None
    model, tokenizer = build_micro_expander()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_expander(str(tmp_path))
    assert loaded is not None
    assert loaded.expand(["a cat"], [1]) == MagicPrompt(model, tokenizer).expand(["a cat"], [1])
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(BaseModelError, match="prompt expander cannot be loaded"):
        load_expander(str(tmp_path))
    with pytest.raises(BaseModelError, match="pip install lensa-big"):
        load_expander("package:lensa_big")
