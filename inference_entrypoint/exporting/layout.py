"""The tensor names of the first Stable Diffusion (Rombach et al. 2022, arXiv:2112.10752), which
every program for it reads: "LDM" names here, for the code base they come from.

They follow from how the networks are built: its UNet numbers all blocks of a side through, its VAE
counts the decoder's levels from the picture, and its VAE's attention is made of 1x1 convolutions.
So a base of any size converts, and what has no place there is an error instead of a lost weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn

from lensa.errors import ArtifactError

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT_ENCODER = "cond_stage_model.transformer."

# The numbers 0 to 76. No weight, but part of the layout: some readers ask for it.
POSITIONS = TEXT_ENCODER + "text_model.embeddings.position_ids"

# Inside a block of the UNet: layers of ours -> theirs.
_UNET_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_BLOCK = {
    **{name: name for name in ("norm1", "conv1", "norm2", "conv2")},
    "conv_shortcut": "nin_shortcut",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def ldm_tensors(pipeline: StableDiffusionPipeline) -> dict[str, Tensor]:
    """Return every weight of a pipeline under its LDM name, in LDM's shape.

    They share the pipeline's memory. Raises ArtifactError for a layer that the layout has no place
    for.
    """
    found: dict[str, Tensor] = {}
    for prefix, module, places in (
        (UNET, pipeline.unet, dict(unet_places(pipeline.unet))),
        (VAE, pipeline.vae, dict(vae_places(pipeline.vae))),
        (TEXT_ENCODER, pipeline.text_encoder, {"text_model": "text_model"}),
    ):
        for name, value in module.state_dict().items():
            found[prefix + _placed(name, places, type(module).__name__)] = value
    attention = (f"{VAE}encoder.mid.attn_1.", f"{VAE}decoder.mid.attn_1.")
    for name, value in found.items():
        if name.startswith(attention) and value.ndim == 2:
            found[name] = value[:, :, None, None]
    count = pipeline.text_encoder.config.max_position_embeddings
    found[POSITIONS] = torch.arange(count, dtype=torch.int64)[None]
    return found


def unet_places(unet: UNet2DConditionModel) -> Iterator[tuple[str, str]]:
    """Yield (module of ours, module of theirs)."""
    yield "conv_in", "input_blocks.0.0"
    yield "time_embedding.linear_1", "time_embed.0"
    yield "time_embedding.linear_2", "time_embed.2"
    yield "conv_norm_out", "out.0"
    yield "conv_out", "out.2"
    yield from _unet_block("mid_block.resnets.0", "middle_block.0")
    yield "mid_block.attentions.0", "middle_block.1"
    yield from _unet_block("mid_block.resnets.1", "middle_block.2")
    position = 1  # the first input block is conv_in
    for ours, block in enumerate(unet.down_blocks):
        for layer in range(len(block.resnets)):
            yield from _unet_layer(f"down_blocks.{ours}", layer, f"input_blocks.{position}")
            position += 1
        if block.downsamplers:
            yield f"down_blocks.{ours}.downsamplers.0.conv", f"input_blocks.{position}.0.op"
            position += 1
    position = 0
    for ours, block in enumerate(unet.up_blocks):
        for layer in range(len(block.resnets)):
            yield from _unet_layer(f"up_blocks.{ours}", layer, f"output_blocks.{position}")
            position += 1
        if block.upsamplers:  # behind the last layer, and behind its attention if there is one
            place = 2 if _attentions(block) else 1
            theirs = f"output_blocks.{position - 1}.{place}.conv"
            yield f"up_blocks.{ours}.upsamplers.0.conv", theirs


def vae_places(vae: AutoencoderKL) -> Iterator[tuple[str, str]]:
    """Yield (module of ours, module of theirs)."""
    yield from ((name, name) for name in ("quant_conv", "post_quant_conv"))
    for side in ("encoder", "decoder"):
        for name, theirs in (("conv_in",) * 2, ("conv_norm_out", "norm_out"), ("conv_out",) * 2):
            yield f"{side}.{name}", f"{side}.{theirs}"
        for index in (0, 1):
            ours, theirs = f"{side}.mid_block.resnets.{index}", f"{side}.mid.block_{index + 1}"
            yield from _inside(ours, theirs, _VAE_BLOCK)
        yield from _inside(f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1", _VAE_ATTENTION)
    for level, block in enumerate(vae.encoder.down_blocks):
        ours, theirs = f"encoder.down_blocks.{level}", f"encoder.down.{level}"
        yield from _vae_level(ours, theirs, block)
        yield f"{ours}.downsamplers.0.conv", f"{theirs}.downsample.conv"
    last = len(vae.decoder.up_blocks) - 1
    for level, block in enumerate(vae.decoder.up_blocks):
        ours, theirs = f"decoder.up_blocks.{level}", f"decoder.up.{last - level}"
        yield from _vae_level(ours, theirs, block)
        yield f"{ours}.upsamplers.0.conv", f"{theirs}.upsample.conv"


def _unet_layer(block: str, layer: int, theirs: str) -> Iterator[tuple[str, str]]:
    yield from _unet_block(f"{block}.resnets.{layer}", f"{theirs}.0")
    yield f"{block}.attentions.{layer}", f"{theirs}.1"  # within it the names are the same


def _unet_block(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    return _inside(ours, theirs, _UNET_BLOCK)


def _vae_level(ours: str, theirs: str, block: nn.Module) -> Iterator[tuple[str, str]]:
    for layer in range(len(block.resnets)):
        yield from _inside(f"{ours}.resnets.{layer}", f"{theirs}.block.{layer}", _VAE_BLOCK)


def _inside(ours: str, theirs: str, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((f"{ours}.{name}", f"{theirs}.{their}") for name, their in names.items())


def _attentions(block: nn.Module) -> bool:
    return bool(getattr(block, "attentions", None))


def _placed(name: str, places: Mapping[str, str], network: str) -> str:
    """Return a tensor's LDM name: that of the module it lies in, however deep."""
    module = name
    while module:
        module = module.rpartition(".")[0]
        if module in places:
            return places[module] + name.removeprefix(module)
    raise ArtifactError(
        f"{network}: a checkpoint of Stable Diffusion 1 has no place for {name}. Export it to "
        "diffusers, which keeps every layer."
    )
