"""A diffusers folder, and the LoRA as it is: what diffusers' own loaders make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline
from exporting.avatars import made
from inference.making import CPU, difference, draw, fresh_micro
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from inference_entrypoint.artifact import LORA_FILE
from inference_entrypoint.bases import load_base
from inference_entrypoint.exporting.folder import save_folder
from inference_entrypoint.exporting.lora import save_lora, without_origin
from inference_entrypoint.exporting.merging import merged
from lensa.bases import resolve_base
from lensa.contract.exports import ExportPrecision


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1), ("fp16", 3)])
def test_a_folder_draws_what_the_avatar_draws(
    tmp_path: Path, precision: ExportPrecision, most: int
) -> None:
    folder, wanted = made(tmp_path, train_text_encoder=True, lora_alpha=8)
    out = folder.parent / "out"
    save_folder(merged(folder), out, precision=precision)
    theirs = StableDiffusionPipeline.from_pretrained(out)
    for pipeline in (theirs, load_base(resolve_base(str(out)), **CPU)):
        assert difference(draw(pipeline).images[0], wanted) <= most


def test_a_folder_does_not_say_where_its_base_lay(tmp_path: Path) -> None:
    folder, _ = made(tmp_path)
    pipeline = merged(folder)
    for part in (pipeline.unet, pipeline.vae):
        part.register_to_config(_name_or_path="/home/ada/models/base")
    pipeline.text_encoder.config._name_or_path = "/home/ada/models/base"
    save_folder(pipeline, tmp_path / "out")
    said = "".join(file.read_text() for file in (tmp_path / "out").rglob("*.json"))
    assert "/home/ada" not in said


def test_a_lora_is_copied_byte_by_byte_and_diffusers_draws_the_same_with_it(tmp_path: Path) -> None:
    folder, wanted = made(tmp_path, train_text_encoder=True, lora_alpha=8)
    save_lora(folder / LORA_FILE, tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == (folder / LORA_FILE).read_bytes()
    pipeline = fresh_micro()
    pipeline.load_lora_weights(str(tmp_path), weight_name="out.safetensors")
    assert difference(draw(pipeline).images[0], wanted) <= 1


def test_a_lora_that_goes_to_the_hub_does_not_say_where_its_base_lay(tmp_path: Path) -> None:
    folder, wanted = made(tmp_path, train_text_encoder=True, lora_alpha=8)
    source, key = folder / LORA_FILE, "text_encoder.base_model_name_or_path"
    with safe_open(source, "pt") as file:
        said = json.loads(file.metadata()["lora_adapter_metadata"])
    text = json.dumps({**said, key: "/home/ada/models/base"})
    save_file(load_file(source), source, {"format": "pt", "lora_adapter_metadata": text})

    content = without_origin(source)
    assert b"/home/ada" not in content
    (tmp_path / "out.safetensors").write_bytes(content)
    pipeline = fresh_micro()
    pipeline.load_lora_weights(str(tmp_path), weight_name="out.safetensors")
    assert difference(draw(pipeline).images[0], wanted) <= 1
