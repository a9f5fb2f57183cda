"""A pipeline's weights under the names of single-file checkpoints, as the first Stable Diffusion
was published. Enough for UNets and VAEs with one layer a block, as `micro` has.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def checkpoint(pipeline: Any) -> dict[str, Tensor]:
    """Return the tensors of a single-file checkpoint."""
    tensors = {}
    for name, value in pipeline.unet.state_dict().items():
        tensors[f"model.diffusion_model.{_unet_name(name)}"] = value
    for name, value in pipeline.vae.state_dict().items():
        old = _vae_name(name, levels=len(pipeline.vae.config.block_out_channels))
        attention = ".mid.attn_1." in old and value.ndim == 2
        tensors[f"first_stage_model.{old}"] = value[:, :, None, None] if attention else value
    for name, value in pipeline.text_encoder.state_dict().items():
        tensors[f"cond_stage_model.transformer.{name}"] = value
    return {name: value.clone().contiguous() for name, value in tensors.items()}


def _unet_name(name: str) -> str:
    for new, old in (
        ("conv_in.", "input_blocks.0.0."),
        ("time_embedding.linear_1.", "time_embed.0."),
        ("time_embedding.linear_2.", "time_embed.2."),
        ("conv_norm_out.", "out.0."),
        ("conv_out.", "out.2."),
        ("mid_block.resnets.0.", "middle_block.0."),
        ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.1.", "middle_block.2."),
    ):
        if name.startswith(new):
            return _resnet(old, name.removeprefix(new))
    side, block, kind, layer, rest = re.fullmatch(
        r"(down|up)_blocks\.(\d)\.(\w+?)\.(\d)\.(.*)", name
    ).groups()
    first = int(block) * 2 + int(layer)
    if side == "down":
        if kind == "downsamplers":
            return f"input_blocks.{(int(block) + 1) * 2}.0.op.{rest.removeprefix('conv.')}"
        return _resnet(f"input_blocks.{first + 1}.{int(kind == 'attentions')}.", rest)
    if kind == "upsamplers":
        return f"output_blocks.{first + 1}.1.{rest}"
    return _resnet(f"output_blocks.{first}.{int(kind == 'attentions')}.", rest)


def _resnet(prefix: str, rest: str) -> str:
    part, _, parameter = rest.rpartition(".")
    return f"{prefix}{_RESNET.get(part, part)}.{parameter}" if part else f"{prefix}{parameter}"


def _vae_name(name: str, levels: int) -> str:
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0." in name:
        head, rest = name.split("mid_block.attentions.0.")
        part, _, parameter = rest.rpartition(".")
        return f"{head}mid.attn_1.{_VAE_ATTENTION[part]}.{parameter}"
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(
        r"up_blocks\.(\d)\.resnets\.(\d)",
        lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}",
        name,
    )
    return re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0",
        lambda m: f"up.{levels - 1 - int(m[1])}.upsample",
        name,
    )
