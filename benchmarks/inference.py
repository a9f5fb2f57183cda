"""How fast images are drawn, against diffusers' own pipeline as it comes.

    OMP_NUM_THREADS=1 python benchmarks/inference.py [--size mini|sd15] [--pairs 5] [--json]
        [--out benchmarks/results/inference-mini.json]

Theirs is `StableDiffusionPipeline` with PNDM at 50 steps, ours is `generate` with each quality,
both in float32 with the same prompts, the same number of images in a batch and one thread. Each
pair runs one after the other, in turns; what is reported is the ratio of their CPU seconds, its
median over the pairs and its range. "equal steps" is ours with PNDM and 50 steps, too: what is not
owed to a better solver. bf16 is reported beside: ours in bfloat16 against theirs in float32.

`sd15` is Stable Diffusion 1.5's architecture with random weights and attention heads of 64 channels
(SD 1.5 has heads of 40 to 160), at `--side` pixels. `cold` is a process of its own: from its start
to the first image on `mini`, against importing torch and diffusers' pipeline.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT)]

PROMPTS = (
    "a photo of a person, red bob, light skin, glasses, smiling, blue background",
    "a photo of a person, pencil sketch, black afro, long beard",
    "a photo of a person, watercolour, short brown hair, wearing a suit, beach background",
    "a photo of a person, pop art, pink mohawk, sunglasses, laughing",
)
THEIR_STEPS = 50
WAYS = ("draft", "standard", "best", "equal", "bf16")
IMPORTS = "import torch; from diffusers import StableDiffusionPipeline"
FIRST_IMAGE = """
from inference_entrypoint.unused import leave_out
leave_out()
import torch
from inference_entrypoint.bases import load_base
from inference_entrypoint.generate import generate
from lensa.contract import BASES, GenerationRequest
base = BASES["mini"]
pipeline = load_base(base, device="cpu", dtype=torch.float32)
request = GenerationRequest(prompt="a photo of {subject}", seed=1).suited_to(base)
generate(pipeline, request, subject="ohwx person", class_noun="person")
"""


def mini() -> Any:
    import torch

    from inference_entrypoint.bases import load_base
    from lensa.contract import BASES

    return load_base(BASES["mini"], device="cpu", dtype=torch.float32)


def sd15() -> Any:
    """SD 1.5 with random weights: it costs what the real one costs."""
    import torch
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from inference_entrypoint.micro import build_micro

    small = build_micro()
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        attention_head_dim=(5, 10, 20, 20),  # diffusers means the number of heads: 64 channels each
        cross_attention_dim=768,
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(small.tokenizer),
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
        )
    )
    return StableDiffusionPipeline(
        unet=unet.eval(),
        vae=vae.eval(),
        text_encoder=text.eval(),
        tokenizer=small.tokenizer,
        scheduler=small.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def theirs(pipeline: Any, side: int, count: int) -> Callable[[], None]:
    import torch
    from diffusers import PNDMScheduler, StableDiffusionPipeline

    parts = {**pipeline.components, "safety_checker": None, "feature_extractor": None}
    parts["scheduler"] = PNDMScheduler.from_config(pipeline.scheduler.config, skip_prk_steps=True)
    own = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    own.set_progress_bar_config(disable=True)

    def draw() -> None:
        noise = [torch.Generator().manual_seed(index) for index in range(count)]
        own(
            list(PROMPTS[:count]),
            width=side,
            height=side,
            num_inference_steps=THEIR_STEPS,
            guidance_scale=7.5,
            generator=noise,
        )

    return draw


def ours(pipeline: Any, base: Any, side: int, count: int, **fields: Any) -> Callable[[], None]:
    from inference_entrypoint.generate import generate
    from lensa.contract import GenerationRequest

    def draw() -> None:
        request = GenerationRequest(
            prompt=PROMPTS[0], count=count, seed=1, width=side, height=side, **fields
        )
        generate(
            pipeline,
            request.suited_to(base),
            subject="ohwx person",
            class_noun="person",
            batch_size=count,
        )

    return draw


def pairs(one: Callable[[], None], other: Callable[[], None], count: int) -> dict[str, Any]:
    """Time both, in turns; `ratio` is how many times as fast `other` is."""
    ratios, seconds = [], []
    for number in range(count):
        taken = {}
        for name in ("one", "other") if number % 2 == 0 else ("other", "one"):
            began = time.process_time()
            (one if name == "one" else other)()
            taken[name] = time.process_time() - began
        ratios.append(taken["one"] / taken["other"])
        seconds.append((taken["one"], taken["other"]))
    return {
        "ratio": round(median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "their_seconds": round(median(one for one, _ in seconds), 3),
        "our_seconds": round(median(other for _, other in seconds), 3),
    }


def speed(size: str, side: int, images: int, count: int, ways: Sequence[str]) -> dict[str, Any]:
    import torch
    from diffusers import PNDMScheduler

    from lensa.contract import BASES

    torch.set_num_threads(1)
    pipeline = {"mini": mini, "sd15": sd15}[size]()
    base = BASES[size]
    their = theirs(pipeline, side, images)
    own_scheduler = pipeline.scheduler
    found: dict[str, Any] = {}
    with torch.no_grad():
        ours(pipeline, base, side, images, steps=1)()  # what is made once is not counted
        for quality in ("draft", "standard", "best"):
            if quality in ways:
                our = ours(pipeline, base, side, images, quality=quality)
                found[quality] = pairs(their, our, count)
        if "equal" in ways:
            pndm = PNDMScheduler.from_config(own_scheduler.config, skip_prk_steps=True)
            pipeline.scheduler = pndm
            same = {"scheduler": "default", "steps": THEIR_STEPS, "guided": 1.0}
            our = ours(pipeline, base, side, images, guidance_scale=7.5, **same)
            found["equal steps"] = pairs(their, our, count)
            pipeline.scheduler = own_scheduler
        if "bf16" in ways:
            half = {"mini": mini, "sd15": sd15}[size]().to(torch.bfloat16)
            found["standard, bf16"] = pairs(their, ours(half, base, side, images), count)
    return found


def cold(runs: int) -> dict[str, Any]:
    """Seconds of wall clock from a process's start to its end, in turns."""
    ratios, taken = [], []
    for _ in range(runs):
        pair = []
        for code in (IMPORTS, FIRST_IMAGE):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
            pair.append(time.perf_counter() - began)
        ratios.append(pair[1] / pair[0])
        taken.append(pair)
    return {
        "ratio_of_seconds": round(median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
        "import_seconds": round(median(one for one, _ in taken), 2),
        "first_image_seconds": round(median(other for _, other in taken), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("mini", "sd15"), default="mini")
    parser.add_argument("--side", type=int, help="pixels; 64 for mini, 256 for sd15")
    parser.add_argument("--images", type=int, help="in a batch; 4 for mini, 1 for sd15")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    side = options.side or {"mini": 64, "sd15": 256}[options.size]
    images = options.images or {"mini": 4, "sd15": 1}[options.size]
    result = {
        "size": options.size,
        "side": side,
        "images": images,
        "pairs": options.pairs,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "against diffusers": speed(options.size, side, images, options.pairs, options.ways),
    }
    if options.size == "mini":
        result["cold"] = cold(options.pairs)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    if options.json:
        print(json.dumps(result))
        return
    for name, row in result["against diffusers"].items():
        print(
            f"{name:16} {row['ratio']:5.2f}x  ({row['least']:.2f} to {row['most']:.2f})   "
            f"{row['their_seconds']:.2f} s -> {row['our_seconds']:.2f} s"
        )
    if "cold" in result:
        print("cold            ", result["cold"])


if __name__ == "__main__":
    main()
