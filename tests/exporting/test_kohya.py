"""A LoRA for AUTOMATIC1111 and ComfyUI: their names, and the avatar's own images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from exporting.avatars import made
from exporting.sd15 import recorded_checkpoint, recorded_lora, skeleton
from inference.making import config, difference, draw, fresh_micro, write_manifest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from inference_entrypoint.adapters import applied, expected_shapes
from inference_entrypoint.artifact import LORA_FILE, read_manifest
from inference_entrypoint.exporting.__main__ import export
from inference_entrypoint.exporting.kohya import kohya_tensors, save_kohya
from inference_entrypoint.few_step import FEW_STEP, load_accelerator
from lensa.contract import VaeRef
from lensa.contract.exports import ExportPrecision, ExportRequest
from lensa.errors import ArtifactError


def exported(folder: Path, precision: ExportPrecision = "fp32") -> Path:
    target = folder.parent / "out.safetensors"
    save_kohya(folder / LORA_FILE, target, read_manifest(folder), precision=precision)
    return target


# Attention has eight layers in each of the UNet's sixteen blocks and four in each of the text
# encoder's twelve; the other layers of these blocks are four more and two.
@pytest.mark.parametrize(
    ("targets", "count"),
    [("attention", 16 * 8 + 12 * 4), ("transformer", 16 * 12 + 12 * 6)],
)
def test_every_layer_has_the_name_and_place_on_record(targets: str, count: int) -> None:
    recipe = config(train_text_encoder=True, lora_rank=4, lora_alpha=8, lora_targets=targets)
    shapes = expected_shapes(skeleton(), recipe)
    made = kohya_tensors({name: torch.empty(shape) for name, shape in shapes.items()}, recipe)
    places, weights = recorded_lora(), recorded_checkpoint()
    layers = {name.split(".")[0] for name in made}
    assert len(layers) == count
    assert {name.split(".", 1)[1] for name in made} == {
        *("lora_down.weight", "lora_up.weight", "alpha")
    }
    for layer in layers:
        rows, columns, *point = weights[places[layer] + ".weight"]  # of a convolution 1, 1
        assert made[f"{layer}.lora_down.weight"].shape == (4, columns, *point)
        assert made[f"{layer}.lora_up.weight"].shape == (rows, 4, *point)
        assert made[f"{layer}.alpha"] == 8


@pytest.mark.parametrize("targets", ["attention", "all"])
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1), ("fp16", 3)])
def test_diffusers_draws_the_same_with_it(
    tmp_path: Path, precision: ExportPrecision, most: int, targets: str
) -> None:
    folder, wanted = made(
        tmp_path, train_text_encoder=True, lora_rank=4, lora_alpha=8, lora_targets=targets
    )
    file = exported(folder, precision)
    pipeline = fresh_micro()
    before = draw(pipeline).images[0]
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
    assert difference(draw(pipeline).images[0], wanted) <= most
    assert difference(before, wanted) > 50


def test_our_own_reader_of_such_files_draws_the_same_with_it(
    tmp_path: Path,
) -> None:
    folder, wanted = made(tmp_path, lora_rank=4, lora_alpha=2)
    pipeline = fresh_micro()
    load_accelerator(pipeline, "lcm", exported(folder))
    with applied(pipeline, {FEW_STEP: 1.0}):
        assert difference(draw(pipeline).images[0], wanted) <= 1


def test_what_readers_show_is_there_and_names_nobody(
    tmp_path: Path,
) -> None:
    folder, _ = made(tmp_path, lora_rank=4, lora_alpha=2)
    write_manifest(folder, config(lora_rank=4, lora_alpha=2), photo_digests=("a" * 64,) * 6)
    with safe_open(exported(folder), "pt") as file:
        said = file.metadata()
    assert said["ss_network_module"] == "networks.lora"
    assert (said["ss_network_dim"], said["ss_network_alpha"]) == ("4", "2.0")
    assert (said["ss_sd_model_name"], said["ss_base_model_version"]) == ("micro", "sd_v1")
    assert said["modelspec.trigger_phrase"] == "ohwx person"
    assert json.loads(said["ss_tag_frequency"]) == {"1_ohwx person": {"ohwx person": 6}}
    assert json.loads(said["ss_dataset_dirs"])["1_ohwx person"]["img_count"] == 6
    assert said["ss_output_name"] == said["modelspec.title"] == "lensa-7k2m0000-1f3a9c2e"
    float(said["ss_training_started_at"])  # A1111 reads a time of it
    assert str(folder) not in json.dumps(said)


def test_of_dora_the_lengths_of_the_rows_come_along_with_a_word_of_warning(
    tmp_path: Path,
) -> None:
    recipe = config()
    lengths = {
        "unet.mid_block.attentions.0.proj_in.lora_magnitude_vector": torch.ones(1, 6, 1, 1),
        "unet.mid_block.to_q.lora_magnitude_vector": torch.arange(6.0),
        "unet.mid_block.to_k.lora_magnitude_vector.weight": torch.arange(6.0),
    }
    scales = kohya_tensors(lengths, recipe)
    assert scales["lora_unet_mid_block_attentions_0_proj_in.dora_scale"].shape == (6, 1, 1, 1)
    assert torch.equal(scales["lora_unet_mid_block_to_q.dora_scale"][:, 0], torch.arange(6.0))
    assert scales["lora_unet_mid_block_to_k.dora_scale"].shape == (6, 1)

    folder, _ = made(tmp_path)
    source = folder.parent / "dora.safetensors"
    save_file({**load_file(folder / LORA_FILE), **lengths}, source)
    (note,) = save_kohya(source, folder.parent / "out.safetensors", read_manifest(folder))
    assert "DoRA" in note


def test_of_another_vae_the_user_is_told(tmp_path: Path) -> None:
    recipe = config(vae=VaeRef(source="hub", location="someone/vae", revision="v2"))
    folder = tmp_path / "avatar"
    folder.mkdir()
    save_file({"unet.to_q.lora_A.weight": torch.ones(4, 2)}, folder / LORA_FILE)
    write_manifest(folder, recipe)
    for format in ("kohya", "lora"):
        out = tmp_path / f"{format}.safetensors"
        answer = export(ExportRequest(avatar=str(folder), format=format, out=str(out)))
        assert answer["notes"] == ["it was trained with the VAE someone/vae@v2: choose it there."]


def test_a_tensor_that_has_no_name_there_is_not_left_out_silently() -> None:
    for name in ("vae.conv.lora_A.weight", "unet.to_q.lora_C.weight", "unet.to_q.weight"):
        with pytest.raises(ArtifactError, match=r"to_q|vae"):
            kohya_tensors({name: torch.ones(2, 2)}, config())
