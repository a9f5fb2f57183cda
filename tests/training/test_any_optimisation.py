"""Whatever the fields of the optimisation say: one clear error before a weight is loaded, or a
training that runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training.running import make_job

from lensa.contract import TrainingConfig
from lensa.errors import ConfigError, TrainingError


def some(*values: Any, wild: Any = None) -> st.SearchStrategy[Any]:
    """One of these values, or now and then a wild one."""
    odd = st.one_of(st.none(), st.text(max_size=4), st.integers(), st.floats())
    return st.one_of(*[st.sampled_from(values)] * 6, odd if wild is None else wild)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "method": st.sampled_from(("lora", "lora", "full")),  # another one the client refuses
    "lora_rank": some(1, 4, 256),
    "lora_alpha": some(None, 1e-3, 8, 512),
    "lora_targets": some("attention", "transformer", "all"),
    "dora": some(False, True),
    "train_text_encoder": some(False, True),
    "text_encoder_learning_rate": some(None, 1e-6),
    "learning_rate": some(1e-6, 1e-3, 1e-2),
    "learning_rate_schedule": some("constant", "linear", "cosine", "polynomial"),
    "warmup_steps": some(0, 1, 2),
    "optimizer": some("adamw", "adamw8bit", "prodigy"),
    "weight_decay": some(0, 0.01, 1),
    "batch_size": some(1, 2, 3),
    "gradient_accumulation": some(1, 2),
    "gradient_checkpointing": some(False, True),
    "max_grad_norm": some(1e-3, 1, 100),
    "precision": some("auto", "fp32", "fp16", "bf16"),
    "memory": some("auto", "normal", "lean"),
    "min_snr_gamma": some(None, 0.5, 5),
    "noise_offset": some(0, 0.1, 1),
    "ema_decay": some(None, 0.5, 0.999),
    "prior_preservation": some(True, False),
    "flip": some(False, True),
}


def check(fields: dict[str, Any]) -> None:
    quiet = {"steps": 2, "class_images": 1, "validation_prompts": ()}
    with tempfile.TemporaryDirectory() as folder:
        try:
            job = make_job(Path(folder), photos=2, **{**quiet, **fields})
        except ConfigError as error:
            assert str(error).startswith("training: ")
            return
        assert TrainingConfig.model_validate_json(job.config.model_dump_json()) == job.config
        try:
            assert job.run() == 2
        except ConfigError:
            assert not job.lines, "it was told only after something was begun"
        except TrainingError as error:
            # Two reckless steps can overflow; they are told as such.
            assert "the loss" in str(error) or "nothing was learned" in str(error)
        else:
            assert all(weight.isfinite().all() for weight in job.weights().values())


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_a_few(fields: dict[str, Any]) -> None:
    check(fields)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_many(fields: dict[str, Any]) -> None:
    check(fields)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_half_precision_without_a_gpu_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    job = make_job(tmp_path, precision="fp16")
    with pytest.raises(ConfigError, match="precision 'fp16' needs an NVIDIA GPU"):
        job.run()
    assert not job.lines
