"""What the machine can do, and what `auto` becomes on it."""

from __future__ import annotations

import torch

from lensa.contract import TrainingConfig
from lensa.errors import ConfigError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(config: TrainingConfig) -> str:
    """Return fp32, fp16 or bf16; ConfigError for what this machine cannot do."""
    gpu = torch.cuda.is_available()
    if config.precision == "fp16" and not gpu:
        raise ConfigError(
            "training: precision 'fp16' needs an NVIDIA GPU, and there is none here: "
            "use 'bf16', 'fp32' or 'auto'."
        )
    if config.precision != "auto":
        return config.precision
    if not gpu:
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
