"""The whole model in one file: the names on record, and the avatar's own images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from exporting.avatars import made, settings_folder
from exporting.sd15 import recorded_checkpoint, skeleton
from inference.making import CPU, config, difference, draw, fresh_micro, micro, write_manifest
from requirements import need_module
from safetensors import safe_open

from inference_entrypoint.artifact import LORA_FILE, read_manifest
from inference_entrypoint.bases import load_base
from inference_entrypoint.exporting.checkpoint import save_checkpoint
from inference_entrypoint.exporting.kohya import save_kohya
from inference_entrypoint.exporting.layout import ldm_tensors
from inference_entrypoint.exporting.merging import merged
from lensa.contract import BASES, BaseModelRef
from lensa.contract.exports import ExportPrecision
from lensa.errors import ArtifactError, BaseModelError


def through_diffusers(file: Path, settings: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_single_file(
        str(file), config=str(settings), torch_dtype=torch.float32, local_files_only=True
    )


def through_ours(file: Path, settings: Path) -> StableDiffusionPipeline:
    shutil.copytree(settings, file.with_suffix(""), dirs_exist_ok=True)
    base = BaseModelRef(name="exported", source="file", location=str(file))
    return load_base(base, **CPU)


def test_every_tensor_of_sd15_has_the_name_and_shape_on_record() -> None:
    found = {name: tuple(value.shape) for name, value in ldm_tensors(skeleton()).items()}
    assert found == recorded_checkpoint()


@pytest.mark.parametrize(
    "recipe",
    [
        {"lora_alpha": 8},
        {"lora_targets": "all"},
        {"dora": True, "lora_targets": "all"},
        {"method": "full"},
    ],
    ids=["lora", "lora of all layers", "dora of all layers", "full"],
)
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1), ("fp16", 3)])
def test_it_draws_what_the_avatar_draws(
    tmp_path: Path,
    recipe: dict[str, object],
    precision: ExportPrecision,
    most: int,
) -> None:
    folder, wanted = made(tmp_path, train_text_encoder=True, **recipe)
    file = folder.parent / "out.safetensors"
    (note,) = save_checkpoint(
        merged(folder), file, manifest=read_manifest(folder), precision=precision
    )
    assert "another size" in note
    for load in (through_diffusers, through_ours):
        assert difference(draw(load(file, settings_folder(tmp_path))).images[0], wanted) <= most
    assert difference(draw(micro()).images[0], wanted) > 50
    with safe_open(file, "pt") as opened:
        kinds = {opened.get_tensor(name).dtype for name in opened.keys()}  # noqa: SIM118
        said = opened.metadata()
    assert kinds == {torch.int64, torch.float16 if precision == "fp16" else torch.float32}
    assert said["modelspec.trigger_phrase"] == "ohwx person"


def test_a_ckpt_is_a_pickle_of_nothing_but_tensors(
    tmp_path: Path,
) -> None:
    folder, wanted = made(tmp_path)
    file = folder.parent / "out.ckpt"
    options = {"manifest": read_manifest(folder), "precision": "fp32", "pickled": True}
    save_checkpoint(merged(folder), file, **options)
    state = torch.load(file, weights_only=True)["state_dict"]
    assert state.keys() == ldm_tensors(micro()).keys()
    assert (
        difference(draw(through_diffusers(file, settings_folder(tmp_path))).images[0], wanted) <= 1
    )


def test_a_base_of_another_size_converts_and_comes_back(tmp_path: Path) -> None:
    need_module("mini", "lensa_mini", "lensa-mini")
    folder, _ = made(tmp_path)
    pipeline = load_base(BASES["mini"], **CPU)
    wanted = draw(pipeline, steps=2).images[0]
    pipeline.save_pretrained(tmp_path / "mini")
    file = tmp_path / "out.safetensors"
    save_checkpoint(pipeline, file, manifest=read_manifest(folder), precision="fp32")
    for weights in (tmp_path / "mini").rglob("*.safetensors"):
        weights.unlink()
    again = through_ours(file, tmp_path / "mini")
    assert difference(draw(again, steps=2).images[0], wanted) <= 1


def test_what_the_layout_has_no_place_for_is_an_error() -> None:
    pipeline = fresh_micro()
    with torch.device("meta"):
        pipeline.unet = UNet2DConditionModel(
            **{**pipeline.unet.config, "class_embed_type": "timestep"}
        )
    with pytest.raises(ArtifactError, match="no place for class_embedding"):
        ldm_tensors(pipeline)


def test_numbers_beyond_half_precision_are_not_made_infinite(
    tmp_path: Path,
) -> None:
    folder, _ = made(tmp_path)
    pipeline, manifest = merged(folder), read_manifest(folder)
    with torch.no_grad():
        pipeline.vae.decoder.conv_in.weight[0, 0] = 1e6
    file = folder.parent / "out.safetensors"
    with pytest.raises(ArtifactError, match=r"decoder\.conv_in\.weight.*--precision fp32"):
        save_checkpoint(pipeline, file, manifest=manifest)
    assert not file.exists()
    save_checkpoint(pipeline, file, manifest=manifest, precision="fp32")


def test_what_the_base_predicts_is_said_where_it_is_not_noise(
    tmp_path: Path,
) -> None:
    folder, _ = made(tmp_path)
    pipeline = merged(folder)
    pipeline.scheduler.register_to_config(prediction_type="v_prediction")
    notes = save_checkpoint(pipeline, folder.parent / "o.ckpt", manifest=read_manifest(folder))
    assert any("predicts v_prediction" in note for note in notes)


def test_a_base_that_is_gone_is_named_and_a_lora_does_without_it(tmp_path: Path) -> None:
    folder, _ = made(tmp_path)
    gone = BaseModelRef(name="mine", source="folder", location=str(tmp_path / "gone"))
    write_manifest(folder, config(base=gone))
    with pytest.raises(BaseModelError, match="gone: no such file or folder"):
        merged(folder)
    save_kohya(folder / LORA_FILE, tmp_path / "out.safetensors", read_manifest(folder))
    assert (tmp_path / "out.safetensors").is_file()
