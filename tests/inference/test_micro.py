"""`micro`: random weights that are the same everywhere."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import torch

from inference_entrypoint.micro import build_micro, build_micro_expander


def digest(*modules: Any) -> str:
    whole = hashlib.sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            whole.update(name.encode() + value.numpy().tobytes())
    return whole.hexdigest()


def digests() -> str:
    pipeline = build_micro()
    expander, _ = build_micro_expander()
    return digest(pipeline.unet, pipeline.vae, pipeline.text_encoder, expander)


def test_its_weights_are_the_same_in_every_process() -> None:
    code = "import torch; torch.manual_seed(77); from test_micro import digests; print(digests())"
    other = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == digests()


def test_building_it_leaves_the_global_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    build_micro()
    build_micro_expander()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_its_tokenizer_reads_any_text() -> None:
    tokenizer = build_micro().tokenizer
    assert tokenizer.model_max_length == 77
    tokens = tokenizer("Ünïcode 😀, 漢字").input_ids
    assert tokens.count(tokenizer.unk_token_id) == 1  # the end, which is the same token
    assert tokenizer.decode(tokens, skip_special_tokens=True).replace(" ", "") == "ünïcode😀,漢字"
