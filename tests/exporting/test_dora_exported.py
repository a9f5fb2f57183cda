"""A DoRA adapter (Liu et al. 2024, arXiv:2402.09353): merged by peft, told by the numbers.

What programs make of `dora_scale` differs; here it is held against the definition.
"""

from __future__ import annotations

import torch
from diffusers import StableDiffusionPipeline
from inference.making import config, difference, draw, fresh_micro, micro
from peft import LoraConfig, get_peft_model_state_dict

from inference_entrypoint.adapters import merge_lora
from inference_entrypoint.exporting.kohya import kohya_tensors
from inference_entrypoint.families import family_of

NAME = "default"  # peft's


def with_dora(rank: int = 4, alpha: int = 8) -> StableDiffusionPipeline:
    """Return a pipeline whose UNet carries a DoRA adapter of random numbers."""
    pipeline = fresh_micro()
    targets = list(family_of(pipeline).lora_targets["attention"]["unet"])
    pipeline.unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=alpha, use_dora=True, target_modules=targets)
    )
    source = torch.Generator().manual_seed(1)
    for name, parameter in pipeline.unet.named_parameters():
        noise = torch.randn(parameter.shape, generator=source)
        if ".lora_magnitude_vector." in name:
            parameter.data *= 1 + 0.3 * noise
        elif ".lora_" in name:
            parameter.data = 0.2 * noise
    return pipeline


def test_merged_it_draws_as_beside_the_layers() -> None:
    pipeline = with_dora()
    wanted = draw(pipeline).images[0]
    assert difference(wanted, draw(micro()).images[0]) > 50
    merge_lora(pipeline, NAME)
    assert pipeline.unet.state_dict().keys() == micro().unet.state_dict().keys()
    assert difference(draw(pipeline).images[0], wanted) <= 1


def test_the_numbers_of_the_kohya_form_make_the_merged_weights() -> None:
    pipeline = with_dora(rank=4, alpha=8)
    state = get_peft_model_state_dict(pipeline.unet)
    tensors = {f"unet.{name}": value for name, value in state.items()}
    made = kohya_tensors(tensors, config(lora_rank=4, lora_alpha=8))
    merge_lora(pipeline, NAME)
    layers = {name.split(".")[0] for name in made}
    assert len(layers) == 4 * 8  # four attention blocks of `micro`, two attentions of four layers
    for name, weight in micro().unet.named_parameters():
        layer = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        if layer not in layers:
            continue
        down, up = made[f"{layer}.lora_down.weight"], made[f"{layer}.lora_up.weight"]
        moved = weight + made[f"{layer}.alpha"] / down.shape[0] * up @ down
        lengths = moved.norm(dim=1, keepdim=True)
        expected = made[f"{layer}.dora_scale"] * moved / lengths
        found = pipeline.unet.get_parameter(name)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
