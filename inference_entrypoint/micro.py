"""A Stable Diffusion with random weights at 32 px, made by code in about a second.

It goes through every line that a full-size base goes through, and its pictures mean nothing.
The weights come from generators of their own: the same in every process, and the global random
state stays as it was.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

REVISION = "micro-1"  # changes whenever a weight would

_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"
_STYLES = (
    " oil painting",
    " watercolor",
    " pencil sketch",
    " soft light",
    " golden hour",
    " bokeh",
    " highly detailed",
    " vivid colors",
    " film grain",
    " pixel art",
    " flat shading",
    " studio portrait",
    " misty",
    " neon",
    " pastel",
    " sharp focus",
)
_WIDTH = 32  # of the text encoder and of cross-attention


def build_micro() -> StableDiffusionPipeline:
    """Return the pipeline on the CPU in float32: latents 4x8x8, images 3x32x32, 77 tokens."""
    with torch.random.fork_rng(devices=[]):  # constructors draw weights, which `_fill` replaces
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 16, 16),  # three levels: a pixel of latent is 4x4 of image
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=32,
            scaling_factor=0.18215,
        )
        unet = UNet2DConditionModel(
            sample_size=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(16, 32),
            layers_per_block=1,
            attention_head_dim=2,  # diffusers reads this as the number of heads
            cross_attention_dim=_WIDTH,
            norm_num_groups=8,
        )
        tokenizer = _byte_tokenizer()
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=_WIDTH,
                intermediate_size=2 * _WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=77,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    for seed, module in enumerate((vae, unet, text_encoder)):
        _fill(module, seed)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def build_micro_expander() -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Return a random GPT-2 and its tokenizer: it reads any text and writes words of `_STYLES`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # In BPE without merges a longer token is never read, only written.
    words = [*alphabet, *("," + word.replace(" ", "Ġ") for word in _STYLES), _EOS]
    vocabulary = {word: index for index, word in enumerate(words)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=_EOS)
    end = vocabulary[_EOS]
    with torch.random.fork_rng(devices=[]):
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(vocabulary),
                n_positions=1024,
                n_embd=32,
                n_layer=2,
                n_head=2,
                bos_token_id=end,
                eos_token_id=end,
                tie_word_embeddings=False,  # tied, a random model repeats its last word forever
            )
        )
    _fill(model, seed=3)
    with torch.no_grad():  # larger output vectors win more often
        model.lm_head.weight[len(alphabet) :] *= 2.5
    return model.eval(), tokenizer


def build_micro_embedder() -> tuple[CLIPModel, CLIPTokenizer]:
    """Return a random CLIP of images of 32 px, and its tokenizer.

    Its features tell pictures apart by their colours, and every text fits every picture a little:
    what is measured with it is a number, and means as much as the pictures do.
    """
    tokenizer = _byte_tokenizer()
    shared = {
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    words = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    with torch.random.fork_rng(devices=[]):
        model = CLIPModel(
            CLIPConfig(
                text_config={
                    **shared,
                    **words,
                    "pad_token_id": tokenizer.pad_token_id,
                    "vocab_size": len(tokenizer),
                    "max_position_embeddings": 77,
                },
                vision_config={**shared, "image_size": 32, "patch_size": 8},
                projection_dim=_WIDTH,
            )
        )
    _fill(model, seed=4)
    with torch.no_grad():  # what all pictures and all texts have in common: cosines above 0
        for norm in (model.vision_model.post_layernorm, model.text_model.final_layer_norm):
            norm.bias.fill_(1.0)
        for projection in (model.visual_projection, model.text_projection):
            projection.weight += 1 / _WIDTH
    return model, tokenizer


def _byte_tokenizer() -> CLIPTokenizer:
    """CLIP's own vocabulary without its merges: one token a byte, so that no text is unknown."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), _BOS, _EOS]
    # `vocab_file=` would be accepted too, and silently yield a tokenizer of two tokens.
    return CLIPTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77
    )


def _fill(module: nn.Module, seed: int) -> None:
    """Set every parameter anew, in the order of its name: no library's initialisation has a say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise / fan_in**0.5)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    module.eval()
