"""Trains the prompt expander: a GPT-2 of two million parameters on the phrase grammar.

    OMP_NUM_THREADS=1 python -m mini.train_expander --minutes 4

Byte-level BPE, so that any text encodes. The loss is on the continuation alone: the model learns
to go on after any prompt, not to write prompts.
"""

from __future__ import annotations

import argparse
import random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from mini.parallel import Budget, cosine
from mini.phrases import draw_pair
from mini.work import save_atomically, work_path

END = "<|endoftext|>"
LENGTH = 128  # tokens, prompt and continuation


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    rng = random.Random(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(("".join(draw_pair(rng)) for _ in range(20_000)), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=LENGTH,
        padding_side="left",
    )


def build(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=LENGTH,
            n_embd=192,
            n_layer=4,
            n_head=6,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def batch_of(
    tokenizer: PreTrainedTokenizerFast, rng: random.Random, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels (count, longest), right-padded; -100 where there is no loss.

    Prompt and continuation are encoded apart, as they are when the prompt comes from a user.
    """
    rows, labels = [], []
    for prompt, continuation in (draw_pair(rng) for _ in range(count)):
        head = tokenizer(prompt).input_ids
        tail = [*tokenizer(continuation).input_ids, tokenizer.eos_token_id]
        rows.append((head + tail)[:LENGTH])
        labels.append(([-100] * len(head) + tail)[:LENGTH])
    longest = max(map(len, rows))
    ids = [row + [tokenizer.eos_token_id] * (longest - len(row)) for row in rows]
    masked = [row + [-100] * (longest - len(row)) for row in labels]
    return torch.tensor(ids), torch.tensor(masked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--restart", action="store_true", help="ignore the checkpoint")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    tokenizer = train_tokenizer(args.seed)
    model = build(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98))
    path = work_path("expander.pt")
    step, spent = 0, 0.0
    if path.exists() and not args.restart:
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    budget = Budget(args.minutes, args.steps, spent)
    rng = random.Random(f"{args.seed} {step}")

    def save() -> None:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        save_atomically({**state, "step": step, "spent": budget.seconds()}, path)

    bar = tqdm(unit="step", mininterval=5)
    while (progress := budget.progress(step, 1)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = cosine(progress, args.lr)
        ids, labels = batch_of(tokenizer, rng, args.batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        bar.update()
        bar.set_postfix(loss=f"{loss.item():.3f}", done=f"{progress:.0%}", refresh=False)
        if step % 500 == 0:
            save()
    save()

    folder = work_path("expander")
    model.generation_config.max_new_tokens = 48
    model.generation_config.do_sample = True
    model.generation_config.top_k = 50
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    show(["a photo of a sks person, pencil sketch", "sks person as an astronaut", "ohwx dog"])


def show(prompts: list[str]) -> None:
    """Prints two continuations a prompt, from what was saved."""
    folder = work_path("expander")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**ids, num_return_sequences=2, pad_token_id=tokenizer.pad_token_id)
        for text in tokenizer.batch_decode(out, skip_special_tokens=True):
            print(text)


if __name__ == "__main__":
    main()
