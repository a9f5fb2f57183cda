"""Where to draw and to train: on a GPU that can be used, or else on the CPU.

A machine that has a GPU is paid for by the hour for it. Where it cannot be used nothing would fail:
all would be fifty times slower, and nobody would know why.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

from lensa.contract import Layout
from lensa.errors import ConfigError

log = logging.getLogger("lensa.server")

_CONTAINER = Path("/opt/ml")
_NODES = Path("/dev")


def best_device() -> tuple[torch.device, torch.dtype]:
    """Return where to draw and in which numbers: fp16 on a GPU, fp32 on a CPU.

    fp16 and not bf16: SD 1.x stays within its range, and it rounds eight times finer. Raises as
    `device` does.
    """
    found = device()
    return found, torch.float16 if found.type == "cuda" else torch.float32


def device() -> torch.device:
    """Return the GPU if it can be used, or else the CPU.

    If there is a GPU that cannot be used: in a container of SageMaker raises ConfigError, elsewhere
    warns once.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    check_gpu(in_container=Layout.here().root == _CONTAINER and _CONTAINER.is_dir())
    return torch.device("cpu")


def check_gpu(
    environ: Mapping[str, str] = os.environ, nodes: Path = _NODES, *, in_container: bool
) -> None:
    """Complain, as `device` does, if there is a GPU, for whoever has found CUDA of no use."""
    if not gpu_is_there(environ, nodes):
        return
    said = f"this machine has a GPU, and torch {torch.__version__} cannot use it: {_reason()}."
    if in_container:
        raise ConfigError(
            f"{said} Use an image whose CUDA the machine's driver knows, or an instance type "
            "without a GPU; CUDA_VISIBLE_DEVICES='' takes the CPU all the same."
        )
    _warn(said)


def gpu_is_there(environ: Mapping[str, str], nodes: Path) -> bool:
    """Whether this machine shows a GPU to this process, usable or not."""
    if environ.get("CUDA_VISIBLE_DEVICES", "0") in {"", "-1"}:  # hidden on purpose
        return False
    if (environ.get("SM_NUM_GPUS") or "0").strip("0"):
        return True
    # Images say "all" on machines without a GPU, too; "void" and "none" say that there is none.
    promised = environ.get("NVIDIA_VISIBLE_DEVICES", "").lower() not in {"", "all", "none", "void"}
    return promised or any(nodes.glob("nvidia[0-9]*"))


def _reason() -> str:
    try:
        torch.cuda.init()
    except Exception as error:  # torch has a kind for each reason
        return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return "it does not say why"


@cache
def _warn(said: str) -> None:
    log.warning("%s The CPU takes its place, many times slower.", said)
