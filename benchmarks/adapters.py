"""What it costs to switch avatars: `python benchmarks/adapters.py [--json]`.

On an SD 1.5-sized pipeline with random weights (head dimension 64): switching between resident
LoRAs (rank 16, UNet and text encoder) against one denoising step with guidance, loading a cold one
from a file, dropping one, and what a resident LoRA that is not in use costs a step. Ratios are of
one run, in turn, and what is reported is their median. It wants 6 GB of memory and some minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from inference_entrypoint.adapters import applied, drop_lora, expected_shapes, load_lora
from lensa.contract import BASES, TrainingConfig

BOUND = 0.1  # of a denoising step

BARE, IDLE, USED = "step, no LoRA resident", "step, residents not in use", "step, one in use"
SWITCH, LOAD, DROP = "switch to a resident one", "load a cold one", "drop one"


def build(device: str, dtype: torch.dtype) -> StableDiffusionPipeline:
    """Return SD 1.5's architecture, but with 64 channels a head at every level (5, 10, 20 heads
    instead of 8), and a VAE that is not used."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        attention_head_dim=(5, 10, 20, 20),  # diffusers reads this as the number of heads
        cross_attention_dim=768,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            vocab_size=49408,
        )
    )
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(32,) * 4, **VAE_BLOCKS),
        text_encoder=text_encoder,
        tokenizer=None,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(device, dtype)
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        part.eval().requires_grad_(False)
    return pipeline


VAE_BLOCKS: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def write_lora(folder: Path, name: str, pipeline: Any, config: TrainingConfig) -> Path:
    tensors = {
        key: 0.01 * torch.randn(shape) for key, shape in expected_shapes(pipeline, config).items()
    }
    rank = config.lora_rank
    said = {
        f"{part}.{key}": rank for part in ("unet", "text_encoder") for key in ("r", "lora_alpha")
    }
    file = folder / f"{name}.safetensors"
    save_file(tensors, file, metadata={"format": "pt", "lora_adapter_metadata": json.dumps(said)})
    return file


def timed(action: Callable[[], Any], device: str) -> float:
    start = time.perf_counter()
    action()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.no_grad()
def measure(device: str, dtype: torch.dtype, resident: int, rounds: int) -> dict[str, Any]:
    pipeline = build(device, dtype)
    config = TrainingConfig(subject_id="bench0000", base=BASES["sd15"], train_text_encoder=True)
    latents = torch.randn(2, 4, 64, 64).to(device, dtype)  # one image, with and without the prompt
    text = torch.randn(2, 77, 768).to(device, dtype)
    moment = torch.tensor(500, device=device)

    def step() -> None:
        pipeline.unet(latents, moment, encoder_hidden_states=text, return_dict=False)

    with tempfile.TemporaryDirectory() as folder:
        names = [f"avatar-{number}" for number in range(resident)]
        files = [write_lora(Path(folder), name, pipeline, config) for name in names]
        step()  # the first one is slower
        rows: dict[str, list[float]] = {name: [] for name in (BARE, IDLE, USED, SWITCH, LOAD, DROP)}
        for number in range(rounds):
            rows[BARE].append(timed(step, device))
            for name, file in zip(names, files, strict=True):
                rows[LOAD].append(timed(partial(load_lora, pipeline, file, config, name), device))
            chosen = {names[number % resident]: 0.9}
            with applied(pipeline, {}):
                rows[IDLE].append(timed(step, device))
            rows[SWITCH].append(timed(partial(switch, pipeline, chosen), device))
            with applied(pipeline, chosen):
                rows[USED].append(timed(step, device))
            for name in names:
                rows[DROP].append(timed(partial(drop_lora, pipeline, name), device))
        size = files[0].stat().st_size
    return {
        "device": device,
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "resident": resident,
        "lora_megabytes": round(size / 1e6, 1),
        "seconds": {name: spread(values) for name, values in rows.items()},
        "switch_in_steps": round(ratio(rows[SWITCH], rows[USED]), 5),
        "bound_in_steps": BOUND,
        "idle_step_to_bare_step": round(ratio(rows[IDLE], rows[BARE]), 3),
        "used_step_to_bare_step": round(ratio(rows[USED], rows[BARE]), 3),
    }


def switch(pipeline: Any, chosen: dict[str, float]) -> None:
    with applied(pipeline, chosen):
        pass


def spread(values: list[float]) -> dict[str, float]:
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 5) for name, value in found.items()}


def ratio(mine: list[float], others: list[float]) -> float:
    """The median of the ratios, round by round."""
    return statistics.median(one / other for one, other in zip(mine, others, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resident", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float16 if device == "cuda" else torch.float32
    report = measure(device, dtype, options.resident, options.rounds)
    if options.json:
        print(json.dumps({"adapters": report}))
        return
    print(f"{report['device']}, {report['dtype']}, {report['resident']} LoRAs resident")
    for name, row in report["seconds"].items():
        print(f"{name:<32} {row['median']:.4f} s  [{row['min']:.4f}, {row['max']:.4f}]")
    print(f"a switch is {report['switch_in_steps']:.5f} of a step (bound {BOUND})")
    print(
        f"to a step without: residents not in use {report['idle_step_to_bare_step']:.3f}, "
        f"one in use {report['used_step_to_bare_step']:.3f}"
    )


if __name__ == "__main__":
    main()
