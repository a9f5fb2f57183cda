"""Bases from this machine: folders, single files, packages; and what is no base, told in words."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
import torch
from ldm import checkpoint
from making import CPU, draw, fresh_micro, micro
from safetensors.torch import load_file, save_file

from inference_entrypoint.bases import base_revision, load_base
from lensa.contract import BASES, BaseModelRef
from lensa.errors import BaseModelError


def folder_ref(path: Path) -> BaseModelRef:
    return BaseModelRef(name="mine", source="folder", location=str(path))


def file_ref(path: Path) -> BaseModelRef:
    return BaseModelRef(name="mine", source="file", location=str(path))


def header_only(path: Path, names: list[str]) -> Path:
    """Write a safetensors file that ends where its weights would begin."""
    tensors = {name: {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]} for name in names}
    header = json.dumps(tensors).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    micro().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A checkpoint, and a folder of its name with settings but no weights."""
    micro().save_pretrained(tmp_path / "model")
    for weights in (tmp_path / "model").rglob("*.safetensors"):
        weights.unlink()
    save_file(checkpoint(micro()), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_folder(folder: Path) -> None:
    assert draw(load_base(folder_ref(folder), **CPU)).images == draw(micro()).images


def test_a_single_file(file: Path) -> None:
    assert draw(load_base(file_ref(file), **CPU)).images == draw(micro()).images


def test_a_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("lensa_mini")
    package.base_path = lambda: folder  # type: ignore[attr-defined]
    package.REVISION = "abc"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lensa_mini", package)
    assert draw(load_base(BASES["mini"], **CPU)).images == draw(micro()).images
    assert base_revision(BASES["mini"]) == "abc"


def test_a_package_that_is_not_installed() -> None:
    absent = BaseModelRef(name="big", source="package", location="lensa_big")
    with pytest.raises(BaseModelError, match="pip install lensa-big"):
        load_base(absent, **CPU)


def test_a_container_channel_takes_the_place_of_any_source(folder: Path) -> None:
    assert draw(load_base(BASES["sd15"], **CPU, override=folder)).images == draw(micro()).images
    (folder / "REVISION").write_text("0123abc\n")  # as a mirror of the hub says what it copied
    assert base_revision(BASES["sd15"], folder) == "0123abc"


def test_half_precision(folder: Path) -> None:
    pipeline = load_base(folder_ref(folder), device="cpu", dtype=torch.bfloat16)
    assert {p.dtype for p in pipeline.unet.parameters()} == {torch.bfloat16}
    assert draw(pipeline).images


def test_the_revision_follows_the_weights(folder: Path, file: Path) -> None:
    before = base_revision(folder_ref(folder))
    assert before == base_revision(folder_ref(folder)) != base_revision(file_ref(file))
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert base_revision(folder_ref(folder)) != before
    assert base_revision(BASES["micro"]) == "micro-1"


@pytest.mark.parametrize(
    "pipeline", ["StableDiffusionXLPipeline", "FluxPipeline", "StableDiffusion3Pipeline"]
)
def test_another_architecture_is_refused_by_name_with_no_weights_there(
    tmp_path: Path, pipeline: str
) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    with pytest.raises(BaseModelError, match=f"is a {pipeline}, which lensa does not support"):
        load_base(folder_ref(tmp_path), **CPU)


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("conditioner.embedders.1.model.ln_final.weight", "StableDiffusionXLPipeline"),
        ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "FluxPipeline"),
        ("cond_stage_model.model.ln_final.weight", "StableDiffusion 2.x"),
    ],
)
def test_a_checkpoint_is_refused_by_the_names_in_its_header(
    tmp_path: Path, tensor: str, name: str
) -> None:
    with pytest.raises(BaseModelError, match=name):
        load_base(file_ref(header_only(tmp_path / "x.safetensors", [tensor])), **CPU)


def test_a_lora_is_no_base(tmp_path: Path) -> None:
    names = ["unet.down_blocks.0.attentions.0.to_q.lora_A.weight"]
    with pytest.raises(BaseModelError, match="a LoRA is not a base model"):
        load_base(file_ref(header_only(tmp_path / "x.safetensors", names)), **CPU)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle" * 9, b"\2\0\0\0\0\0\0\0[]", b"text"])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BaseModelError, match=r"is not a (safetensors file|whole Stable)"):
        load_base(file_ref(path), **CPU)


@pytest.mark.parametrize(
    "part", ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"]
)
def test_a_folder_with_a_weight_missing(folder: Path, part: str) -> None:
    # transformers and diffusers would draw it at random and log a line.
    path = folder / f"{part}.safetensors"
    tensors = load_file(path)
    name = sorted(tensors)[3]
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match=f"1 missing weights, such as {name}"):
        load_base(folder_ref(folder), **CPU)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_with_a_weight_too_many(folder: Path, part: str) -> None:
    file = next((folder / part).glob("*.safetensors"))
    save_file({**load_file(file), "renamed.weight": torch.ones(2)}, file, {"format": "pt"})
    with pytest.raises(BaseModelError, match=r"1 unexpected weights, such as renamed\.weight"):
        load_base(folder_ref(folder), **CPU)


def test_a_text_encoder_that_carries_its_positions_is_whole(folder: Path) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    numbers = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    save_file({**load_file(file), **numbers}, file, {"format": "pt"})
    assert load_base(folder_ref(folder), **CPU)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "first_stage_model.", "cond_stage_"])
def test_a_single_file_with_a_weight_missing(file: Path, prefix: str) -> None:
    tensors = load_file(file)
    del tensors[next(name for name in sorted(tensors, reverse=True) if name.startswith(prefix))]
    save_file(tensors, file)
    with pytest.raises(BaseModelError, match="missing"):
        load_base(file_ref(file), **CPU)


def test_a_truncated_weight_file(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_base(folder_ref(folder), **CPU)


def test_a_tokenizer_with_more_words_than_the_text_encoder(tmp_path: Path) -> None:
    pipeline = fresh_micro()
    pipeline.tokenizer.add_tokens(["ohwx"])
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(BaseModelError, match="515 words and the text encoder 514"):
        load_base(folder_ref(tmp_path), **CPU)


def test_a_single_file_without_settings_names_the_way_out(file: Path) -> None:
    (file.parent / "model" / "model_index.json").unlink()
    with pytest.raises(BaseModelError, match=r"put a diffusers folder of SD 1.5"):
        load_base(file_ref(file), **CPU)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no such file or folder"):
        load_base(folder_ref(tmp_path / "absent"), **CPU)
    with pytest.raises(BaseModelError, match=r"no model_index.json"):
        load_base(folder_ref(tmp_path), **CPU)
    (tmp_path / "model_index.json").write_text("[")
    with pytest.raises(BaseModelError, match="not a JSON object"):
        load_base(folder_ref(tmp_path), **CPU)
