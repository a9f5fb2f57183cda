"""A program that shares no code with ours reads the exports at Stable Diffusion 1.5's size.

stable-diffusion.cpp, a reader in C++ (`pip install stable-diffusion-cpp-python` builds it). With
random weights its pictures show nothing; that a LoRA beside the base and a checkpoint with the LoRA
merged in come to the same picture says that both are read to the last tensor. Takes 9 GB of memory,
13 of disk, and minutes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from exporting.sd15 import build
from inference.making import config, micro, write_manifest
from PIL import Image
from requirements import need_module
from safetensors.torch import save_file

from inference_entrypoint.adapters import expected_shapes
from inference_entrypoint.artifact import LORA_FILE, read_manifest
from inference_entrypoint.bases import base_revision
from inference_entrypoint.exporting.checkpoint import save_checkpoint
from inference_entrypoint.exporting.kohya import save_kohya
from inference_entrypoint.exporting.merging import merged
from lensa.contract import BaseModelRef

READ = """
import json, sys
from stable_diffusion_cpp import StableDiffusion

file, folder, prompts, out = json.loads(sys.argv[1])
model = StableDiffusion(model_path=file, lora_model_dir=folder, wtype="f32", verbose=False)
for index, prompt in enumerate(prompts):
    (image,) = model.generate_image(
        prompt=prompt, width=64, height=64, sample_steps=2, cfg_scale=1.0, seed=5
    )
    image.save(f"{out}{index}.png")
"""


def read(file: Path, out: Path, *prompts: str) -> list[np.ndarray]:
    """Draw with a checkpoint in a process of its own: what fails there is C++."""
    arguments = json.dumps([str(file), str(file.parent), prompts, str(out)])
    subprocess.run([sys.executable, "-c", READ, arguments], check=True, capture_output=True)
    pictures = [Image.open(f"{out}{index}.png") for index in range(len(prompts))]
    return [np.asarray(picture.convert("RGB"), dtype=int) for picture in pictures]


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Path]:
    """A folder that is gone afterwards: pytest would keep its gigabytes for three runs."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def make_base(folder: Path) -> StableDiffusionPipeline:
    torch.manual_seed(0)
    pipeline = build(micro().tokenizer)
    pipeline.save_pretrained(folder)
    return pipeline


def make_avatar(folder: Path, base: BaseModelRef, pipeline: StableDiffusionPipeline) -> Path:
    """A LoRA of random numbers in the folder of an avatar."""
    recipe = config(base=base, train_text_encoder=True, lora_rank=4, lora_alpha=8)
    source = torch.Generator().manual_seed(1)
    shapes = expected_shapes(pipeline, recipe)
    tensors = {name: 0.1 * torch.randn(shape, generator=source) for name, shape in shapes.items()}
    settings = {
        f"{part}.{key}": value
        for part in ("unet", "text_encoder")
        for key, value in (("r", 4), ("lora_alpha", 8))
    }
    folder.mkdir()
    save_file(tensors, folder / LORA_FILE, {"lora_adapter_metadata": json.dumps(settings)})
    write_manifest(folder, recipe, base_revision=base_revision(base))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_checkpoint_and_lora_come_to_the_same_picture(space: Path) -> None:
    need_module("sd-cpp", "stable_diffusion_cpp", "stable-diffusion-cpp-python")
    pipeline = make_base(space / "base")
    base = BaseModelRef(name="random", source="folder", location=str(space / "base"))
    avatar = make_avatar(space / "avatar", base, pipeline)
    manifest = read_manifest(avatar)
    prompt, file = "a photo of ohwx person", space / "out.safetensors"

    save_kohya(avatar / LORA_FILE, space / "me.safetensors", manifest, precision="fp32")
    save_checkpoint(pipeline, file, manifest=manifest, precision="fp32")
    del pipeline
    plain, beside = read(file, space / "base", prompt, f"<lora:me:1>{prompt}")

    avatars = merged(avatar)
    options = {"manifest": manifest, "force": True}
    assert save_checkpoint(avatars, file, precision="fp32", **options) == []
    (inside,) = read(file, space / "merged", prompt)
    save_checkpoint(avatars, file, precision="fp16", **options)
    (halved,) = read(file, space / "halved", prompt)

    assert np.abs(beside - plain).mean() > 5
    assert np.abs(beside - inside).max() <= 1
    assert np.abs(beside - halved).max() <= 3
