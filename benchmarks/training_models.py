"""The random models of `benchmarks/training.py`, and the FLOPs of what training asks of them.

`sd15` is Stable Diffusion 1.5's architecture with attention heads of 64 channels (SD 1.5 has heads
of 40 to 160, which cost the same FLOPs). `narrow` is the same at two fifths of its width, which
trains on one core in seconds: the VAE's widths are chosen so that its share of a step is SD 1.5's
at 256 px or a little less, and are multiples of 16 like SD 1.5's, so that no vector is half empty.
FLOPs are counted by torch.utils.flop_counter on the meta device, two for a multiplication and an
addition.

    python training_models.py write NAME FOLDER     saves a model with random weights
    python training_models.py flops NAME SIDE       prints the FLOPs, for one image each
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOKENS, LORA_RANK = 77, 4

# widths of the UNet, of the VAE and its groups, of the text encoder
WIDTHS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, int]] = {
    "sd15": ((320, 640, 1280, 1280), (128, 256, 512, 512), 32, 768),
    "narrow": ((128, 256, 512, 512), (48, 128, 192, 192), 16, 320),
}


def networks(name: str, words: int = 49408) -> tuple[Any, Any, Any]:
    """Return the UNet, the VAE and the text encoder of a model of `words` words."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    widths, vae_widths, groups, text_width = WIDTHS[name]
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=widths,
        attention_head_dim=tuple(width // 64 for width in widths),  # diffusers means the number
        cross_attention_dim=text_width,
    )
    vae = AutoencoderKL(
        block_out_channels=vae_widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=groups,
        sample_size=512,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=text_width,
            intermediate_size=4 * text_width,
            num_hidden_layers=12,
            num_attention_heads=text_width // 64,
        )
    )
    return unet, vae, text


def write(name: str, folder: Path) -> None:
    """Save a model: `micro`, or one of `WIDTHS` with micro's tokenizer. It samples by PNDM, as
    SD 1.5's own settings say."""
    import torch
    from diffusers import PNDMScheduler, StableDiffusionPipeline

    sys.path.insert(0, str(ROOT))
    from inference_entrypoint.micro import build_micro

    small = build_micro()
    parts = {"unet": small.unet, "vae": small.vae, "text_encoder": small.text_encoder}
    if name != "micro":
        torch.manual_seed(0)
        parts = dict(zip(parts, networks(name, len(small.tokenizer)), strict=True))
    StableDiffusionPipeline(
        **parts,
        tokenizer=small.tokenizer,
        scheduler=PNDMScheduler.from_config(small.scheduler.config, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def flops(name: str, side: int) -> dict[str, int]:
    """Return the FLOPs for one image of `side` pixels."""
    import torch
    from peft import LoraConfig
    from torch.utils.flop_counter import FlopCounterMode

    def of(call: Callable[[], Any]) -> int:
        with FlopCounterMode(display=False) as counter:
            call()
        return int(counter.get_total_flops())

    with torch.device("meta"):
        unet, vae, text = networks(name)
        noisy, time = torch.empty(1, 4, side // 8, side // 8), torch.ones(1)
        words = torch.empty(1, TOKENS, unet.config.cross_attention_dim)
        image = torch.empty(1, 3, side, side)
        tokens = torch.ones(1, TOKENS, dtype=torch.long)

    def train() -> None:
        unet(noisy, time, words).sample.sum().backward()

    found = {}
    with torch.no_grad():
        found["unet"] = of(lambda: unet(noisy, time, words))
        found["encode"] = of(lambda: vae.encode(image))
        found["decode"] = of(lambda: vae.decode(noisy))
        found["text"] = of(lambda: text(tokens))
    found["unet, full"] = of(train)
    unet.requires_grad_(False)
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    unet.add_adapter(LoraConfig(r=LORA_RANK, target_modules=targets))
    found["unet, lora"] = of(train)
    return found


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], Path(sys.argv[3]))
    else:
        print(json.dumps(flops(sys.argv[2], int(sys.argv[3]))))
