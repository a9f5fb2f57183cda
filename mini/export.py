"""Exports the trained parts as fp16 safetensors into the distribution `lensa-mini`.

    python -m mini.export            base model, expander and embedder, each if it is trained
    python -m mini.export --photos   also the demo's photos

Each folder is written beside its place and then renamed, so a reader never meets half a model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from transformers import AutoModelForCausalLM, AutoTokenizer, CLIPModel, CLIPTokenizer

import lensa_mini
from mini.drawing import draw
from mini.subjects import DEMO_SUBJECT, photo_pictures
from mini.train_embedder import SIDE, load_embedder
from mini.train_unet import SCHEDULER, build
from mini.train_vae import load_vae
from mini.work import work_path

PACKAGE = Path(lensa_mini.__file__).parent

# What a CLIPImageProcessor does with a picture before the embedder sees it.
PREPROCESSING = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": SIDE},
    "resample": 3,  # bicubic
    "do_center_crop": True,
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def load_pipeline() -> StableDiffusionPipeline:
    """The pipeline out of the work folder, EMA weights, fp32."""
    tokenizer = CLIPTokenizer.from_pretrained(work_path("tokenizer"))
    unet, text = build(tokenizer)
    state = torch.load(work_path("unet.pt"), map_location="cpu")
    unet.load_state_dict(state["ema_unet"])
    text.load_state_dict(state["ema_text"])
    vae: AutoencoderKL = load_vae()
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=DDIMScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Fills a new folder beside `target` and puts it in its place in two renames."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    fresh.chmod(0o755)
    fill(fresh)
    for file in fresh.rglob("*"):  # safetensors writes files that only their owner can read
        file.chmod(0o755 if file.is_dir() else 0o644)
    if target.exists():
        old = target.with_name(f".{target.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old)
    else:
        fresh.rename(target)


def declare_float32(config: Path) -> None:
    """Says that weights stored in fp16 load as fp32 unless asked otherwise.

    transformers 5 takes the dtype out of the config, diffusers takes fp32: with nothing said,
    a plain `from_pretrained` would join a half-precision text encoder to an fp32 UNet.
    """
    fields = json.loads(config.read_text())
    fields["dtype"] = "float32"
    config.write_text(json.dumps(fields, indent=2) + "\n")


def export_base(folder: Path) -> None:
    pipeline = load_pipeline()
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(folder, safe_serialization=True)
    declare_float32(folder / "text_encoder" / "config.json")
    again = StableDiffusionPipeline.from_pretrained(folder)
    again("a photo of a person", num_inference_steps=1)  # one dtype throughout
    before = pipeline.tokenizer("a photo of a sks person").input_ids
    if again.tokenizer("a photo of a sks person").input_ids != before:
        raise RuntimeError("the saved tokenizer does not read prompts as the trained one did")


def export_expander(folder: Path) -> None:
    source = work_path("expander")
    AutoModelForCausalLM.from_pretrained(source).half().save_pretrained(folder)
    declare_float32(folder / "config.json")
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def export_embedder(folder: Path) -> None:
    model, tokenizer = load_embedder()
    model.half().save_pretrained(folder)
    declare_float32(folder / "config.json")
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING, indent=2) + "\n")
    again, words = CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    again.get_text_features(**words("a photo of a person", return_tensors="pt"))  # one dtype


def export_photos(folder: Path) -> None:
    # Pictures, not weights: only parts of the original artwork (see the model card's licences).
    pictures = photo_pictures(DEMO_SUBJECT, 16, seed=1)
    pictures = [p for p in pictures if p.clothes not in ("suit", "spacesuit", "chef jacket")][:8]
    for i, picture in enumerate(pictures):
        draw(picture, 256).quantize(128).save(folder / f"{i + 1:02d}.png", optimize=True)


def revision() -> str:
    """The start of a sha256 over every exported weight, in the order of the paths."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.safetensors")):
        digest.update(file.relative_to(PACKAGE).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", action="store_true", help="draw the demo's photos again")
    args = parser.parse_args()
    if work_path("unet.pt").exists():
        replace_folder(PACKAGE / "base", export_base)
    if work_path("expander").exists():
        replace_folder(PACKAGE / "expander", export_expander)
    if work_path("embedder.pt").exists():
        replace_folder(PACKAGE / "embedder", export_embedder)
    if args.photos or not (PACKAGE / "photos").is_dir():
        replace_folder(PACKAGE / "photos", export_photos)
    (PACKAGE / "REVISION").write_text(revision() + "\n")
    sizes = {f.name: f"{megabytes(f):.1f} MB" for f in sorted(PACKAGE.iterdir()) if f.is_dir()}
    print(f"revision {revision()}: {sizes}")


if __name__ == "__main__":
    main()
