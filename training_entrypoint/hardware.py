"""What the machine can do, and what `auto` becomes on it."""

from __future__ import annotations

import torch

from lensa.contract import TrainingConfig
from lensa.errors import ConfigError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def gpu_memory() -> float | None:
    """Return the bytes of the GPU's memory; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    return float(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)


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
