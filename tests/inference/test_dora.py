"""DoRA, and LoRAs beside more than the attention: loaded as they were trained, and as peft reads
them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from making import config, draw, fresh_micro, make_avatar, micro, train_a_little
from many import LORA, numbered
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from inference_entrypoint.adapters import applied, drop_lora, load_lora
from lensa.errors import ArtifactError

KINDS: dict[str, dict[str, Any]] = {
    "DoRA": {"dora": True},
    "DoRA beside all layers": {"dora": True, "lora_targets": "all", "train_text_encoder": True},
    "LoRA beside the transformer": {"lora_targets": "transformer", "lora_alpha": 8},
    "LoRA beside all layers": {"lora_targets": "all", "train_text_encoder": True},
}
DORA: dict[str, Any] = KINDS["DoRA beside all layers"]


def images(pipeline: Any, scales: dict[str, float] | None = None) -> list[bytes]:
    if scales is None:
        return [image.tobytes() for image in draw(pipeline, count=2).images]
    with applied(pipeline, scales):
        return [image.tobytes() for image in draw(pipeline, count=2).images]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_it_draws_as_it_was_trained_at_any_scale(tmp_path: Path, kind: str, scale: float) -> None:
    recipe = config(**KINDS[kind])
    trained, loaded = train_a_little(recipe), fresh_micro()
    load_lora(loaded, make_avatar(tmp_path, **KINDS[kind]) / LORA, recipe, "a")
    for part in (trained.unet, trained.text_encoder):
        for layer in part.modules():
            if isinstance(layer, LoraLayer):
                layer.set_scale("default", scale)  # peft's own
    assert images(loaded, {"a": scale}) == images(trained) != images(micro())


@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_reads_the_file_to_the_same_images(tmp_path: Path, kind: str) -> None:
    fields = dict(KINDS[kind])
    if "dora" in fields:  # of a text encoder, transformers 5.5.3 leaves the norms at random
        fields.pop("train_text_encoder", None)
    folder = make_avatar(tmp_path, **fields)
    theirs, ours = fresh_micro(), fresh_micro()
    theirs.load_lora_weights(folder, weight_name=LORA, adapter_name="a")
    load_lora(ours, folder / LORA, config(**fields), "a")
    assert images(ours) == images(theirs)


def test_a_dora_beside_others_comes_and_goes_without_a_trace(tmp_path: Path) -> None:
    pipeline, alone = fresh_micro(), fresh_micro()
    numbered(tmp_path / "a", 1, **DORA)
    numbered(tmp_path / "b", 2)
    load_lora(alone, tmp_path / "b" / LORA, config(), "b")
    load_lora(pipeline, tmp_path / "a" / LORA, config(**DORA), "a")
    load_lora(pipeline, tmp_path / "b" / LORA, config(), "b")
    assert images(pipeline, {"b": 1}) == images(alone, {"b": 1})
    assert images(pipeline, {"a": 0}) == images(micro())
    drop_lora(pipeline, "a")
    layers = [layer for layer in pipeline.unet.modules() if isinstance(layer, LoraLayer)]
    assert not any(layer.lora_magnitude_vector or layer.lora_variant for layer in layers)
    drop_lora(pipeline, "b")
    assert images(pipeline) == images(micro())


def test_a_dora_without_its_norms_is_refused(tmp_path: Path) -> None:
    file = make_avatar(tmp_path, dora=True) / LORA
    tensors = {key: value for key, value in load_file(file).items() if "magnitude" not in key}
    save_file(tensors, file)
    with pytest.raises(ArtifactError, match="weights are missing"):
        load_lora(fresh_micro(), file, config(dora=True))
    with pytest.raises(ArtifactError, match="belong to no layer"):
        load_lora(fresh_micro(), make_avatar(tmp_path / "b", dora=True) / LORA, config())


def test_it_is_loaded_without_a_random_number(tmp_path: Path) -> None:
    numbered(tmp_path / "a", 1, **DORA)
    before = torch.get_rng_state()
    load_lora(fresh_micro(), tmp_path / "a" / LORA, config(**DORA), "a")
    assert torch.equal(torch.get_rng_state(), before)
