"""What a training step keeps for the way back, counted without a GPU:

    python benchmarks/training_memory.py [--json benchmarks/results/training-memory.json]

A UNet of SD 1.x's size goes forward on tensors that have shapes and no numbers, and every tensor
that autograd keeps is counted once. The precisions are those of mixed precision on a GPU: matrix
products in bf16, normalisation in fp32. Work space of kernels, and what an allocator wastes, is not
in it. The constants of training_entrypoint/memory.py come from here, and the table in
docs/training.md from its `estimate`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import CLIPTextConfig, CLIPTextModel

from lensa.contract import BASES, TrainingConfig, preset
from training_entrypoint.memory import GB, estimate, make_plan
from training_entrypoint.trainable import Trainable

LATENT_PIXELS = 64 * 64  # of an image of 512 x 512

WAYS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "LoRA, checkpointing": {"gradient_checkpointing": True},
    "LoRA beside all layers": {"lora_targets": "all"},
    "DoRA": {"dora": True},
    "LoRA, text encoder too": {"train_text_encoder": True},
    "full": {"method": "full", "optimizer": "adamw"},
    "full, checkpointing": {
        "method": "full",
        "optimizer": "adamw",
        "gradient_checkpointing": True,
    },
    "full, text encoder too": {
        "method": "full",
        "optimizer": "adamw",
        "train_text_encoder": True,
    },
}


def of_full_size() -> Any:
    """Return a Stable Diffusion 1.x without numbers, as far as training looks at it."""
    with torch.device("meta"):
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
        )
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        text = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                max_position_embeddings=77,
                vocab_size=49408,
            )
        )
    pipeline = StableDiffusionPipeline.__new__(StableDiffusionPipeline)
    parts = SimpleNamespace(vae=vae, unet=unet, text_encoder=text)
    pipeline.__dict__.update(vars(parts))
    return pipeline


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Autocast of a CPU, with the normalisations in fp32 as autocast of CUDA has them."""

    def in_fp32(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(given: torch.Tensor, *rest: Any, **named: Any) -> Any:
            rest = tuple(r.float() if isinstance(r, torch.Tensor) else r for r in rest)
            named = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in named.items()}
            return function(given.float(), *rest, **named)

        return called

    before = F.group_norm, F.layer_norm
    F.group_norm, F.layer_norm = in_fp32(F.group_norm), in_fp32(F.layer_norm)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            yield
    finally:
        F.group_norm, F.layer_norm = before


def faked(module: torch.nn.Module) -> None:
    """Put tensors that know shape and device in the place of those that know no device."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                empty = torch.empty(weight.shape, dtype=weight.dtype)
                part._parameters[name] = torch.nn.Parameter(empty, weight.requires_grad)


def kept(config: TrainingConfig) -> int:
    """Return the bytes that the UNet keeps for one image of 512 x 512."""
    pipeline = of_full_size()
    Trainable(pipeline, config, torch.bfloat16).train()
    unet = pipeline.unet
    with FakeTensorMode(allow_non_fake_inputs=True):
        faked(unet)
        weights = {p.untyped_storage()._cdata for p in unet.parameters()}
        found: dict[int, tuple[int, torch.Tensor]] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                found[storage._cdata] = (storage.nbytes(), tensor)  # held, so that none is reused
            return tensor

        text = torch.randn(1, 77, 768, dtype=unet.dtype)
        given = torch.randn(1, 4, 64, 64, dtype=unet.dtype)
        with as_on_a_gpu(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            unet(given, torch.zeros(1, dtype=torch.long), text)
    return sum(size for size, _ in found.values())


def configuration(**changes: Any) -> TrainingConfig:
    recipe = preset("person", changes.get("method", "lora"), BASES["sd15"])
    return TrainingConfig(**{"subject_id": "00000000", **recipe, **changes})


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--json", type=Path)
    where = options.parse_args().json
    warnings.filterwarnings("ignore")
    rows = []
    pipeline = of_full_size()
    for name, changes in WAYS.items():
        config = configuration(**changes)
        lean = make_plan(config, "lean", gpu=True).config
        row = {
            "way": name,
            "kept_per_latent_pixel": round(kept(config) / LATENT_PIXELS),
            "estimate_gb": round(estimate(config, pipeline, "bf16") / GB, 1),
            "lean_gb": round(estimate(lean, pipeline, "bf16") / GB, 1),
        }
        rows.append(row)
        print(row, flush=True)
    if where:
        where.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
