"""Several LoRAs in one pipeline: each draws alone as if the others were not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from making import config, draw, fresh_micro, make_avatar, micro, train_a_little
from many import LORA, numbered
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from inference_entrypoint.adapters import applied, drop_lora, in_use, load_lora
from inference_entrypoint.families import family_of
from lensa.errors import ArtifactError, NotFoundError

TEXT: dict[str, Any] = {"train_text_encoder": True, "lora_rank": 2, "lora_alpha": 8}


def load(pipeline: Any, folder: Path, name: str, **changes: Any) -> None:
    numbered(folder / name, ord(name[0]), **changes)
    load_lora(pipeline, folder / name / LORA, config(**changes), name)


def draw_pair(pipeline: Any, scales: dict[str, float]) -> list[bytes]:
    with applied(pipeline, scales):
        return [image.tobytes() for image in draw(pipeline, count=2).images]


def parameters(pipeline: Any) -> dict[str, torch.Tensor]:
    return {
        f"{part}.{name}": parameter.detach().clone()
        for part, module in family_of(pipeline).parts(pipeline).items()
        for name, parameter in module.named_parameters()
    }


def layers(pipeline: Any) -> list[LoraLayer]:
    parts = family_of(pipeline).parts(pipeline).values()
    return [layer for part in parts for layer in part.modules() if isinstance(layer, LoraLayer)]


@pytest.mark.parametrize("neighbour", [{}, {"lora_rank": 7}, TEXT], ids=str)
def test_an_adapter_draws_the_same_with_a_neighbour_and_without(
    tmp_path: Path, neighbour: Any
) -> None:
    alone, both, turned = fresh_micro(), fresh_micro(), fresh_micro()
    load(alone, tmp_path, "a")
    load(both, tmp_path, "a")
    load(both, tmp_path, "b", **neighbour)
    load(turned, tmp_path, "b", **neighbour)
    load(turned, tmp_path, "a")
    expected = draw_pair(alone, {"a": 1})
    assert draw_pair(both, {"a": 1}) == draw_pair(turned, {"a": 1}) == expected
    assert draw_pair(both, {"b": 1}) == draw_pair(turned, {"b": 1}) != expected


def test_without_any_it_is_the_base_that_draws(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    load(pipeline, tmp_path, "a", **TEXT)
    base = draw_pair(micro(), {})
    assert draw_pair(pipeline, {}) == draw_pair(pipeline, {"a": 0}) == base
    assert draw_pair(pipeline, {"a": 1}) != base


def test_adapters_are_summed_in_an_order_of_their_own(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    for name, changes in (("c", {}), ("a", TEXT), ("b", {"lora_rank": 3})):
        load(pipeline, tmp_path, name, **changes)
    mixed = draw_pair(pipeline, {"a": 0.5, "b": 0.7, "c": 1})
    assert mixed == draw_pair(pipeline, {"c": 1, "b": 0.7, "a": 0.5})
    assert mixed not in [draw_pair(pipeline, {name: 1}) for name in "abc"]
    assert draw_pair(pipeline, {"a": 0.5, "c": 1}) != mixed


def test_a_sum_is_what_the_mathematics_says(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    load(pipeline, tmp_path, "a", **TEXT)
    load(pipeline, tmp_path, "b", lora_rank=3)
    layer = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    x = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(0))

    def delta(name: str) -> torch.Tensor:
        return layer.lora_B[name].weight @ layer.lora_A[name].weight

    with applied(pipeline, {"a": 0.5, "b": 2}), torch.no_grad():
        expected = layer.base_layer(x) + x @ (0.5 * 4 * delta("a") + 2 * delta("b")).T
        torch.testing.assert_close(layer(x), expected)


def test_a_dropped_adapter_leaves_the_base_as_it_was(tmp_path: Path) -> None:
    pipeline, before = fresh_micro(), parameters(fresh_micro())
    load(pipeline, tmp_path, "a", **TEXT)
    load(pipeline, tmp_path, "b")
    drop_lora(pipeline, "a")
    assert in_use(pipeline) == []  # and "b" does not take its place unasked
    assert not any(".a." in name for name in parameters(pipeline))
    assert not any("a" in value for layer in layers(pipeline) for value in per_adapter(layer))
    drop_lora(pipeline, "b")
    drop_lora(pipeline, "b")  # of no effect
    after = parameters(pipeline)
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert draw_pair(pipeline, {}) == draw_pair(micro(), {})


def per_adapter(layer: LoraLayer) -> list[Any]:
    """Whatever a layer keeps by an adapter's name."""
    return [value for value in vars(layer).values() if isinstance(value, dict)] + [
        module for module in layer.children() if isinstance(module, torch.nn.ModuleDict)
    ]


def test_afterwards_all_is_as_it_was_exceptions_or_not(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    load(pipeline, tmp_path, "a", lora_alpha=3)
    load(pipeline, tmp_path, "b")

    def state() -> list[Any]:
        return [
            (list(layer.active_adapters), dict(layer.scaling), layer.disable_adapters)
            for layer in layers(pipeline)
        ]

    before = state()
    with pytest.raises(ZeroDivisionError), applied(pipeline, {"a": 1 / 3, "b": 0.1}):
        assert in_use(pipeline) == ["a", "b"]
        raise ZeroDivisionError
    assert state() == before
    assert in_use(pipeline) == ["a"]
    with pytest.raises(NotFoundError, match=r"No adapter 'x' is loaded. Known: a, b"):
        applied(pipeline, {"a": 1, "x": 1}).__enter__()
    assert state() == before


def test_what_trains_goes_on_training_as_it_did(tmp_path: Path) -> None:
    pipeline = train_a_little(config(train_text_encoder=True))
    pipeline.unet.train()
    pipeline.unet.requires_grad_(False)
    for name, parameter in pipeline.unet.named_parameters():
        parameter.requires_grad_("lora_A" in name)
    flags = {name: p.requires_grad for name, p in pipeline.unet.named_parameters()}
    live = draw_pair(pipeline, {"default": 1})
    assert live == [image.tobytes() for image in draw(pipeline, count=2).images]
    pipeline.unet.disable_adapters()
    for name, parameter in pipeline.unet.named_parameters():
        parameter.requires_grad_(flags[name])
    assert in_use(pipeline) == ["default"]  # of the text encoder
    assert draw_pair(pipeline, {"default": 1}) == live
    assert {name: p.requires_grad for name, p in pipeline.unet.named_parameters()} == flags
    assert pipeline.unet.training and not pipeline.text_encoder.training
    assert all(layer.disable_adapters for layer in pipeline.unet.modules() if is_lora(layer))


def is_lora(layer: Any) -> bool:
    return isinstance(layer, LoraLayer)


def test_loading_beside_what_trains_freezes_nothing_and_draws_no_number(tmp_path: Path) -> None:
    pipeline = train_a_little(config())
    flags = {name: p.requires_grad for name, p in pipeline.unet.named_parameters()}
    numbered(tmp_path / "b", 1, **TEXT)
    state = torch.get_rng_state()
    load_lora(pipeline, tmp_path / "b" / LORA, config(**TEXT), "b")
    assert torch.equal(torch.get_rng_state(), state)
    after = {name: p.requires_grad for name, p in pipeline.unet.named_parameters()}
    assert {name: after[name] for name in flags} == flags
    assert any(flags.values())
    assert not any(flag for name, flag in after.items() if ".b." in name)
    assert in_use(pipeline) == ["default"]


def test_what_does_not_fit_is_refused_beside_others_too(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    load(pipeline, tmp_path, "a")
    before = draw_pair(pipeline, {"a": 1})
    numbered(tmp_path / "b", 1, lora_rank=2)
    with pytest.raises(ArtifactError, match="another shape"):
        load_lora(pipeline, tmp_path / "b" / LORA, config(lora_rank=3), "b")
    with pytest.raises(NotFoundError):
        applied(pipeline, {"b": 1}).__enter__()
    assert draw_pair(pipeline, {"a": 1}) == before


def test_an_adapter_that_is_not_in_use_computes_nothing(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    load(pipeline, tmp_path, "a")
    load(pipeline, tmp_path, "b")
    calls: list[str] = []
    for name, module in pipeline.unet.named_modules():
        if name.endswith((".lora_A.a", ".lora_A.b")):
            module.register_forward_hook(lambda *_, name=name: calls.append(name[-1]))
    draw_pair(pipeline, {"a": 1})
    assert set(calls) == {"a"}
    draw_pair(pipeline, {})
    assert set(calls) == {"a"}


def test_one_of_the_same_name_takes_its_place(tmp_path: Path) -> None:
    pipeline, fresh = fresh_micro(), fresh_micro()
    load(pipeline, tmp_path, "b", **TEXT)
    numbered(tmp_path / "c", 3)
    for each in (pipeline, fresh):
        load_lora(each, tmp_path / "c" / LORA, config(), "b")
    assert draw_pair(pipeline, {"b": 1}) == draw_pair(fresh, {"b": 1})  # of the old one nothing


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"unet.r": 0}', "cannot be read"),
        ('{"unet.r": "four"}', "cannot be read"),
        ('{"unet.lora_alpha": NaN}', "scaled by nan, trained with 1"),
        ('{"unet.lora_alpha": 8, "unet.r": 4}', "scaled by 2, trained with 1"),
    ],
    ids=len,
)
def test_metadata_that_says_nonsense(tmp_path: Path, said: str, words: str) -> None:
    file = make_avatar(tmp_path) / LORA
    save_file(load_file(file), file, metadata={"lora_adapter_metadata": said})
    pipeline = fresh_micro()
    with pytest.raises(ArtifactError, match=words):
        load_lora(pipeline, file, config())
    assert layers(pipeline) == []
