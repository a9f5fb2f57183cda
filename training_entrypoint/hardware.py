"""What the machine can do, and what `auto` becomes on it."""

from __future__ import annotations

import ctypes
import resource
import sys

import torch

from lensa.contract import TrainingConfig
from lensa.errors import ConfigError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


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


def peak_memory() -> float:
    """Return the most bytes that were taken so far: of the GPU's memory, or without one of this
    process's."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def machine() -> str:
    """Return what trains here in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, where a CPU trains.

    Every step frees its gradients and activations and asks for as much again; clearing each page
    anew, as the system does, took a tenth of the step. glibc only: elsewhere nothing happens.
    """
    if torch.cuda.is_available() or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # of malloc.h
        mallopt(trim_threshold, -1)  # never
        mallopt(mmap_threshold, 32 * 2**20)  # the most that it takes
