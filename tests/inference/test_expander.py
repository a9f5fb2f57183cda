"""The prompt expander: the user's words in front, and the same continuation for the same seed."""

from __future__ import annotations

import pytest
from making import draw, micro

from inference_entrypoint.expand import MagicPrompt, load_expander, tidy
from inference_entrypoint.families import family_of
from inference_entrypoint.generate import generate
from inference_entrypoint.micro import build_micro_expander
from lensa.contract import GenerationRequest
from lensa.errors import BaseModelError

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
        names = {"subject": "ohwx person", "class_noun": "person"}
        return generate(micro(), request, expander=expander, **names, **options).prompts

    prompts = drawn()
    assert len(set(prompts)) > 1
    assert drawn(indices=[2]) == prompts[2:3]  # whatever the batch


def test_an_expansion_never_overflows_the_text_encoder(expander: MagicPrompt) -> None:
    request = GenerationRequest(prompt="x" * 40, count=4, seed=4, steps=1, expand=True)
    result = generate(
        micro(), request, subject="ohwx person", class_noun="person", expander=expander
    )
    family = family_of(micro())
    for prompt in result.prompts:
        assert family.token_count(micro(), prompt)[0] <= 77
    assert result.warnings == []
    assert draw(micro(), "x" * 40).prompts[0] in result.prompts[0]


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
