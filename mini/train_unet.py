"""Trains UNet and text encoder together, on latents of the drawn avatars.

    OMP_NUM_THREADS=1 python -m mini.train_unet --minutes 70 --processes 2

v-prediction (Salimans & Ho 2022) with zero terminal SNR (Lin et al. 2024): the last step is pure
noise, so plain backgrounds get any brightness. The middle of the picture, where the face is, counts
up to three times as much. Each process has its own share of the pictures, mirrored ones too, and
sees a new caption every time. A small reader keeps the text encoder telling one word from another
(`mini.reader`), and a critic has the UNet draw what the words say (`mini.critic`, trained before).
"""

from __future__ import annotations

import argparse
import random
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch.nn import Embedding
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from mini.attributes import VALUES, from_indices
from mini.captions import DUMMY_TOKENS, say, told
from mini.critic import load_critic
from mini.latents import labelled_latents
from mini.parallel import Budget, Gradients, cosine, launch
from mini.reader import UNTOLD, Reader
from mini.work import EMA, save_atomically, work_path

WIDTH = 192  # of the text encoder
READING = 0.1  # what the reader's loss counts beside the UNet's
CRITICISM = 0.02  # and the critic's
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "rescale_betas_zero_snr": True,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
    "steps_offset": 1,  # no effect with trailing timesteps; diffusers warns of any other value
}
UNET = {
    "sample_size": 16,
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": (64, 128, 192),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": (2, 4, 6),  # diffusers means the number of heads: 32 channels each
    "norm_num_groups": 16,
}


def build(tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Both networks with fresh weights."""
    unet = UNet2DConditionModel(**UNET)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=512,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=WIDTH // 32,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # Residual branches and the output begin at zero (Dhariwal & Nichol 2021): a short run's gain.
    torch.nn.init.zeros_(unet.conv_out.weight)
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D):
            torch.nn.init.zeros_(module.conv2.weight)
        if isinstance(module, Transformer2DModel):
            torch.nn.init.zeros_(module.proj_out.weight)
    # Wide embeddings, or the words drown: with 0.05 the two layers' output soon outweighs them, all
    # states look alike, and only the loudest word of a prompt (its style) ever reaches the UNet.
    torch.nn.init.normal_(text.get_input_embeddings().weight, std=0.5)
    return unet, text


def parameter_groups(
    unet: torch.nn.Module, text: torch.nn.Module, *others: torch.nn.Module
) -> list[dict[str, Any]]:
    """The optimizer's groups; `scale` multiplies the learning rate.

    The text encoder's layers learn slower than the UNet. Weight decay on matrices alone: none on
    norms, biases and embeddings, or it would shrink the subject tokens, which no gradient holds up.
    """
    embeddings = {id(p) for m in text.modules() if isinstance(m, Embedding) for p in m.parameters()}
    groups: list[dict[str, Any]] = []
    for module, scale in ((unet, 1.0), (text, 0.4), *((other, 1.0) for other in others)):
        layers = [p for p in module.parameters() if id(p) not in embeddings]
        matrices = [p for p in layers if p.ndim > 1]
        vectors = [p for p in layers if p.ndim <= 1]
        groups.append({"params": matrices, "weight_decay": 0.01, "scale": scale})
        groups.append({"params": vectors, "weight_decay": 0.0, "scale": scale})
    words = [p for p in text.parameters() if id(p) in embeddings]
    return [*groups, {"params": words, "weight_decay": 0.0, "scale": 1.0}]


def captions_of(rows: np.ndarray, rng: random.Random) -> tuple[list[str], torch.Tensor]:
    """New captions of pictures with these labels, and the labels of what the captions tell."""
    captions, labels = [], []
    for row in rows:
        values = from_indices(row)
        kept = told(values, rng)
        captions.append("" if kept is None else say(values, kept, rng))
        labels.append(
            [
                int(i) if name in (kept or ()) else UNTOLD
                for name, i in zip(VALUES, row, strict=True)
            ]
        )
    return captions, torch.tensor(labels)


def face_weight(side: int = UNET["sample_size"]) -> torch.Tensor:
    """What an error counts by its place, (side, side), 1 on the average.

    Eyes and mouth are a twentieth of the picture and most of what an expression is.
    """
    axis = (torch.arange(side) + 0.5) / side - 0.5
    near = torch.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * 0.16**2))
    weight = 1 + 2 * near
    return weight / weight.mean()


def train(rank: int, processes: int, args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)  # the same first weights in every process
    tokenizer = CLIPTokenizer.from_pretrained(work_path("tokenizer"))
    unet, text = build(tokenizer)
    if not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())  # on a CPU quicker than fused attention
    reader = Reader(WIDTH)
    groups = parameter_groups(unet, text, reader)
    parameters = [p for group in groups for p in group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.99), fused=True)
    gradients = Gradients(parameters, processes)
    ema = EMA(parameters)
    scheduler = DDIMScheduler(**SCHEDULER)
    # Made-up words keep their first embedding, as subject tokens do: what the networks learn to
    # take no notice of is then exactly what they will meet.
    frozen = torch.tensor(tokenizer.convert_tokens_to_ids([f"{w}</w>" for w in DUMMY_TOKENS]))

    latents, labels = (both[rank::processes] for both in labelled_latents())

    path = work_path("unet.pt")
    step, spent = 0, 0.0
    if path.exists() and not args.restart:
        state = torch.load(path)
        unet.load_state_dict(state["unet"])
        text.load_state_dict(state["text"])
        reader.load_state_dict(state["reader"])
        optimizer.load_state_dict(state["optimizer"])
        for group in optimizer.param_groups:
            group["fused"] = True
        ema.shadow, ema.updates = state["ema"], state["step"]
        step, spent = state["step"], state["spent"]
    budget = Budget(args.minutes, args.steps, spent)
    weight, critic = face_weight(), load_critic()
    generator = torch.Generator().manual_seed(args.seed + 100_003 * step + rank)
    rng = random.Random(f"{args.seed} {step} {rank}")

    def save() -> None:
        smooth_unet, smooth_text = build(tokenizer)
        smooth = parameter_groups(smooth_unet, smooth_text, Reader(WIDTH))
        ema.copy_to(p for group in smooth for p in group["params"])
        state = {
            "unet": unet.state_dict(),
            "text": text.state_dict(),
            "reader": reader.state_dict(),
            "optimizer": optimizer.state_dict(),
            "ema": ema.shadow,
            "ema_unet": smooth_unet.state_dict(),
            "ema_text": smooth_text.state_dict(),
            "step": step,
            "spent": budget.seconds(),
            "batch": args.batch,
        }
        save_atomically(state, path)

    bar = tqdm(unit="step", mininterval=15, disable=rank != 0)
    saved, mean_loss = budget.seconds(), 0.0
    while (progress := budget.progress(step, processes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = cosine(progress, args.lr) * group["scale"]
        batch = torch.randint(len(latents), (args.batch // processes,), generator=generator)
        clean = latents[batch].float()
        noise = torch.randn(clean.shape, generator=generator)
        timesteps = torch.randint(1000, (len(batch),), generator=generator)
        noisy = scheduler.add_noise(clean, noise, timesteps)
        target = scheduler.get_velocity(clean, noise, timesteps)
        captions, told_labels = captions_of(labels[batch.numpy()], rng)
        tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            states = text(tokens.input_ids)[0]
            prediction = unet(noisy, timesteps, states).sample
            reading = reader.loss(states, told_labels)
        loss = (weight * (prediction.float() - target).square()).mean()
        # What the prediction makes of the picture; it says the less the more noise there is.
        signal = scheduler.alphas_cumprod[timesteps].sqrt()
        alpha, sigma = (one[:, None, None, None] for one in (signal, (1 - signal**2).sqrt()))
        picture = alpha * noisy - sigma * prediction.float()
        with torch.autocast("cpu", torch.bfloat16):
            criticism = critic.loss(picture, clean, signal, told_labels)
        (loss + READING * reading + CRITICISM * criticism).backward()
        text.get_input_embeddings().weight.grad[frozen] = 0
        gradients.average(clip=1.0)
        optimizer.step()
        gradients.zero()
        ema.update(parameters)
        step += 1
        mean_loss += (loss.item() - mean_loss) * max(0.01, 1 / step)
        bar.update()
        bar.set_postfix(
            loss=f"{mean_loss:.4f}",
            critic=f"{criticism.item():.3f}",
            done=f"{progress:.1%}",
            refresh=False,
        )
        if rank == 0 and budget.seconds() - saved > args.save_minutes * 60:
            save()
            saved = budget.seconds()
    if rank == 0:
        save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=32, help="over all processes")
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint")
    args = parser.parse_args()
    load_critic(), labelled_latents()  # what is missing is missed, or made, once
    launch(train, args.processes, args)


if __name__ == "__main__":
    main()
