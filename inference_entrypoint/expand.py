"""MagicPrompt: a GPT-2 that learned from millions of image prompts goes on writing the user's.

`Gustavosta/MagicPrompt-Stable-Diffusion` from the hub, a small one of the same class from the
package `lensa_mini`, or a random one made by code. The user's words stay in front, untouched; what
is written behind them holds no syntax and nothing of `blocklist`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from torch import Tensor

from inference_entrypoint.blocklist import blocked
from inference_entrypoint.hub import hub_errors
from inference_entrypoint.quiet import no_bars
from lensa.contract.emphasis import plain
from lensa.errors import BaseModelError, ConfigError

MAX_NEW_TOKENS = 48  # about six phrases
TEMPERATURE, TOP_K = 0.9, 50

# Weights as "::5" and switches as "--ar 16:9", which other programs read out of a prompt.
_SWITCH = re.compile(r"(?<!\d):+\s*-?\d[\d.]*|--\w+(?:\s+\d[\d.:]*)?")
_ODD = re.compile(r"[^A-Za-z0-9À-ÖØ-öø-ÿ ,.'&/+-]+")  # brackets and pipes are prompt syntax to some


def load_expander(ref: str | None) -> MagicPrompt | None:
    """Return the expander that a BaseModelRef names, or None if it names none.

    `ref` is a hub id, "package:NAME" (whose `expander_path()` is the folder), "generated:micro",
    or a folder. Raises BaseModelError.
    """
    if ref is None:
        return None
    if ref == "generated:micro":
        from inference_entrypoint.micro import build_micro_expander

        return MagicPrompt(*build_micro_expander())
    if ref.startswith("package:"):
        name = ref.removeprefix("package:")
        try:
            return _load(str(importlib.import_module(name).expander_path()))
        except ImportError:
            name = name.replace("_", "-")
            raise BaseModelError(
                f"The prompt expander comes with the package {name}: pip install {name}"
            ) from None
        except FileNotFoundError as error:
            raise BaseModelError(str(error)) from None
    return _load(ref)


def _load(ref: str) -> MagicPrompt:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    no_bars()
    local = Path(ref).is_dir()
    try:
        with hub_errors(ref, file="config.json"):
            if not local:  # transformers would tell every failure of the hub as one
                hf_hub_download(ref, "config.json")
            tokenizer = AutoTokenizer.from_pretrained(ref, local_files_only=local)
            model, info = AutoModelForCausalLM.from_pretrained(
                ref, local_files_only=local, use_safetensors=True, output_loading_info=True
            )
    except (BaseModelError, OSError, ValueError, KeyError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BaseModelError(f"The prompt expander cannot be loaded: {first}") from error
    if info["missing_keys"]:
        first = sorted(info["missing_keys"])[0]
        raise BaseModelError(f"The prompt expander {ref} is incomplete: {first} is missing.")
    return MagicPrompt(model.eval(), tokenizer)


class MagicPrompt:
    """A causal language model and its tokenizer.

    It stays in float32: sampling compares probabilities, and a rounding would be another word.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def expand(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """Return each prompt with phrases written behind it, or as it was if none came.

        All prompts run as one batch; what follows prompt i depends on (prompts[i], seeds[i]) alone,
        up to the rounding of float32.
        """
        written = self._sample([_said(prompt) for prompt in prompts], list(seeds))
        return [
            prompt + tidy(prompt, self.tokenizer.decode(tokens, skip_special_tokens=True), ended)
            for prompt, (tokens, ended) in zip(prompts, written, strict=True)
        ]

    @torch.no_grad()
    def _sample(self, prompts: list[str], seeds: list[int]) -> list[tuple[list[int], bool]]:
        """Return for each prompt the new tokens, and whether the model came to an end by itself.

        `generate` of transformers draws all rows from the global generator: a row's words would
        depend on its neighbours'.
        """
        end = self.model.config.eos_token_id
        # The context keeps room for what is written; a longer prompt loses its beginning here.
        room = self.model.config.n_positions - MAX_NEW_TOKENS
        rows = [self.tokenizer(text, verbose=False).input_ids[-room:] or [end] for text in prompts]
        width = max(map(len, rows))
        device = self.model.device
        # Padding to the left, so that every row's last token is in the last column. GPT-2 has no
        # padding token: any will do behind a mask.
        tokens = torch.tensor([[end] * (width - len(row)) + row for row in rows], device=device)
        mask = torch.tensor(
            [[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device
        )
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        new: list[list[int]] = [[] for _ in rows]
        ended = [False] * len(rows)
        cache = None
        for _ in range(MAX_NEW_TOKENS):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
            output = self.model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
            cache = output.past_key_values
            chosen = _draw(output.logits[:, -1], generators)
            for row, token in enumerate(chosen):
                ended[row] = ended[row] or token == end
                if not ended[row]:
                    new[row].append(token)
            if all(ended):
                break
            tokens = torch.tensor(chosen, device=device)[:, None]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        return list(zip(new, ended, strict=True))


def _draw(logits: Tensor, generators: Sequence[torch.Generator]) -> list[int]:
    """Return one token a row of logits [n, vocabulary], by top-k sampling (Fan et al. 2018,
    arXiv:1805.04833), each from its own generator."""
    scaled = logits.double().cpu() / TEMPERATURE
    least = scaled.topk(min(TOP_K, scaled.shape[-1])).values[:, -1:]
    # In the order of the vocabulary, not of likelihood: near ties keep their places.
    cumulative = scaled.masked_fill(scaled < least, -torch.inf).softmax(-1).cumsum(-1)
    points = torch.stack([torch.rand(1, generator=g, dtype=torch.float64) for g in generators])
    found = torch.searchsorted(cumulative, points * cumulative[:, -1:], right=True)
    return found.clamp(max=logits.shape[-1] - 1).flatten().tolist()


def tidy(prompt: str, written: str, ended: bool) -> str:
    """Return what may follow the prompt: whole phrases, each once, without odd characters, and none
    that is blocked.

    `ended` tells that the model stopped by itself; otherwise the last phrase is a torso.
    """
    line = written.split("\n")[0]
    line = _ODD.sub(" ", _SWITCH.sub(" ", line))
    if line[:1].isalnum():  # it goes on with the user's last word, which is not ours to change
        line = line[len(re.match(r"[^ ,.]*", line).group()) :]  # type: ignore[union-attr]
    phrases = [" ".join(phrase.split()).strip(" .'&/+-") for phrase in line.split(",")]
    if not ended:
        phrases = phrases[:-1]
    known = {phrase.strip().casefold() for phrase in _said(prompt).split(",")}
    kept: list[str] = []
    for phrase in phrases:
        if phrase and phrase.casefold() not in known and not blocked(phrase):
            known.add(phrase.casefold())
            kept.append(phrase)
    if not kept:
        return ""
    joint = " " if phrases[0] and line.startswith(" ") and kept[0] == phrases[0] else ", "
    if prompt.endswith(","):
        joint = " "
    elif not prompt or prompt.endswith(" "):
        joint = ""
    return joint + ", ".join(kept)


def _said(prompt: str) -> str:
    """Return the prompt without the syntax of emphasis, which the model was never taught."""
    try:
        return plain(prompt)
    except ConfigError:  # whoever encodes it will say what is wrong
        return prompt
