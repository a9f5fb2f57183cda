"""`(word:1.3)` in a prompt: how it is read, and what it does to the encoding."""

from __future__ import annotations

import random

import pytest
import torch
from making import draw, fresh_micro, micro
from torch import Tensor

from inference_entrypoint.conditioning import condition, token_count
from lensa.contract.emphasis import Fragment, fragments, plain
from lensa.errors import ConfigError


def read(prompt: str, pipeline: object = None) -> Tensor:
    with torch.no_grad():
        return condition(pipeline or micro(), prompt, None).prompt


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red hat", [("a red hat", 1)]),
        ("a (red) hat", [("a ", 1), ("red", 1.1), (" hat", 1)]),
        ("((red))", [("red", 1.21)]),
        ("(red:1.3)", [("red", 1.3)]),
        ("( red : 0.5 )", [(" red ", 0.5)]),
        ("(red:.5)(blue:2.)", [("red", 0.5), ("blue", 2)]),
        ("[red]", [("red", 1 / 1.1)]),
        ("([red])", [("red", 1)]),
        ("(a (red:1.5) hat:1.2)", [("a ", 1.2), ("red", 1.8), (" hat", 1.2)]),
        (r"\(red\) \[hat\] a\\b \d", [(r"(red) [hat] a\b \d", 1)]),
        (r"(a \) b:1.3)", [("a ) b", 1.3)]),
        ("at 12:30: noon", [("at 12:30: noon", 1)]),  # outside of brackets a colon is a colon
        ("(ratio 16:9:1.2)", [("ratio 16:9", 1.2)]),  # inside, the last one counts
        ("[red: hat]", [("red: hat", 1 / 1.1)]),
        ("a (b:1.0) c", [("a b c", 1)]),
        ("(red:0)", [("red", 0)]),
        ("()[](:1.2)", []),
        ("", []),
    ],
)
def test_the_syntax(prompt: str, expected: list[tuple[str, float]]) -> None:
    found = fragments(prompt)
    assert found == [Fragment(text, round(weight, 6)) for text, weight in expected]
    assert plain(prompt) == "".join(text for text, _ in expected)


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("a photo of (ada", r"'(' at character 12 is never closed; write \( for a bracket"),
        ("a [b", r"'[' at character 3 is never closed; write \[ for a bracket that is meant."),
        ("smile :)", r"')' at character 8 closes nothing; write \) for a bracket that is meant."),
        ("a]", r"']' at character 2 closes nothing; write \]"),
        ("(a]", "']' at character 3 does not close the '(' at character 1"),
        ("(a:abc)", "'abc' after the ':' at character 3 is no weight; write a number from 0 to 3"),
        ("(a:)", "'' after the ':' at character 3 is no weight"),
        ("(a:nan)", "'nan' after"),
        ("(a:inf)", "'inf' after"),
        ("(a:1e1)", "'1e1' after"),
        ("(a:\u0661)", "is no weight"),
        ("(a:99)", "'99' after"),
        ("(a:-1)", "'-1' after"),
        ("(a:(b))", "is no weight"),
        ("[a:0.5]", "'[' at character 1 takes no number; write (word:0.5)."),
        ("((a:2):2)", "nested brackets come to a weight of 4; the most is 3."),
        ("(" * 15 + "a" + ")" * 15, "come to a weight of 4.18"),
        ("(" * 10_000, "'(' at character 10000 is never closed"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(prompt: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        condition(micro(), prompt, None)
    assert str(caught.value).startswith("generation: prompt: ") and problem in str(caught.value)
    with pytest.raises(ConfigError, match=r"^generation: negative_prompt: "):
        condition(micro(), "a photo", prompt)


def test_brackets_are_no_tokens() -> None:
    assert token_count(micro(), "a ((b)) [c] (d:1.3)") == token_count(micro(), "a b c d") == 4
    assert token_count(micro(), r"a \(b\)") == 4


def test_the_weight_one_changes_nothing() -> None:
    assert torch.equal(read("(a photo:1.0) of ([ada])"), read("a photo of ada"))


def test_a_weight_changes_its_word_and_not_what_stands_before() -> None:
    usual, strong = read("a red hat"), read("a (red:1.5) hat")
    # start, a, r, e, d, h, a, t
    assert torch.equal(strong[:2], usual[:2])
    assert (strong[2:5] != usual[2:5]).any(dim=1).all()


def test_more_weight_goes_further_the_same_way() -> None:
    usual = read("a red hat")
    by = [(read(f"a (red:{weight}) hat") - usual).flatten() for weight in (1.1, 1.3, 2)]
    lengths = [float(step.norm()) for step in by]
    assert lengths[0] < lengths[1] < lengths[2]
    for step in by[1:]:
        assert torch.cosine_similarity(by[0], step, dim=0) > 0.999
    # Away from a prompt that says nothing.
    away = torch.zeros_like(usual)
    away[2:5] = (usual - read(""))[2:5]
    assert torch.cosine_similarity(by[0], away.flatten(), dim=0) > 0.999


def test_less_weight_goes_toward_the_prompt_without_the_word() -> None:
    usual, without = read("a red hat"), read("a (red:0) hat")
    far = [float((read(f"a (red:{weight}) hat") - without).norm()) for weight in (0.3, 0.6, 0.9)]
    assert far == sorted(far) and far[-1] < float((usual - without).norm())
    # What comes later no longer heard the word, so that another one in its place is the same.
    assert torch.allclose(without[5:8], read("a (sad:0) hat")[5:8], atol=1e-4)
    assert not torch.allclose(usual[5:8], read("a sad hat")[5:8], atol=1e-4)


def test_a_weight_reaches_over_chunks_and_leaves_the_others_alone() -> None:
    head, tail = "a " * 70, "b " * 100
    weighted = read(f"{head}({tail}:1.4){'c ' * 60}")
    usual = read(f"{head}{tail}{'c ' * 60}")
    assert weighted.shape == usual.shape
    chunks = zip(weighted.split(77), usual.split(77), strict=True)
    assert [torch.equal(one, other) for one, other in chunks] == [False, False, False, True]


def test_words_outside_of_brackets_may_touch_them() -> None:
    assert torch.equal(read("over(joyed:1.3),sad"), read("over (joyed:1.3) , sad"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    pipeline = fresh_micro().to(dtype)
    found = read("a (red:1.3) [hat], " + "word " * 40, pipeline)
    assert found.dtype == dtype == pipeline.text_encoder.dtype
    exact = read("a (red:1.3) [hat], " + "word " * 40)
    assert torch.allclose(found.float(), exact, atol=0.1)


def test_any_text_works_or_is_one_clear_error() -> None:
    rng = random.Random(0)
    alphabet = [
        *"()[]:\\,. aé😀\x00\u200d0123",
        "(b:1.2)",
        "[c]",
        "<|endoftext|>",
        "<|startoftext|>",
    ]
    read_, refused = 0, 0
    for _ in range(300):
        prompt = "".join(rng.choices(alphabet, k=rng.randint(0, 60)))
        if rng.random() < 0.6:
            prompt = "(d:0.7)" + prompt.translate({ord(c): " " for c in "()[]"})
        try:
            found = read(prompt)
        except ConfigError as error:
            assert str(error).startswith("generation: prompt: ")
            refused += 1
        else:
            assert len(found) % 77 == 0 and torch.isfinite(found).all()
            read_ += 1
    assert read_ > 50 and refused > 50


def test_the_picture_hears_it_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    one, other = (draw(micro(), prompt).images[0] for prompt in ("a (hat:1.8)", "a hat"))
    assert one.tobytes() != other.tobytes()
    assert capfd.readouterr().out == ""
