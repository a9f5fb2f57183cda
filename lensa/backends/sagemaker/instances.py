"""What the recipe and the request have to know of an instance type."""

from __future__ import annotations

from typing import Any

# Storage inside the machine, which has its own encryption: SageMaker refuses VolumeKmsKeyId.
_NVME = frozenset(
    [
        *("g4dn", "g5", "g6", "g6e", "gr6", "g7e", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en"),
        *("p6-b200", "trn1", "trn1n", "trn2"),
        *("c5d", "c6gd", "c6id", "m5d", "m6gd", "m6id", "r5d", "r6gd"),
    ]
)

_SMALL_GPU = frozenset(["g4dn"])  # 16 GB of memory, and no bfloat16

# What fits Stable Diffusion 1.x into 16 GB: fp16 is what precision "auto" becomes on these GPUs.
_LEAN: dict[str, Any] = {"gradient_checkpointing": True, "optimizer": "adamw8bit"}

_GPUS = ("g", "p")  # families by their first letter


def family(instance_type: str) -> str:
    """Return "g5" of "ml.g5.2xlarge"."""
    return instance_type.split(".")[1]


def takes_volume_key(instance_type: str) -> bool:
    return family(instance_type) not in _NVME


def has_gpu(instance_type: str) -> bool:
    return family(instance_type).startswith(_GPUS)


def recipe(instance_type: str) -> dict[str, Any]:
    """Return what a recipe has to change for this machine."""
    return dict(_LEAN) if family(instance_type) in _SMALL_GPU else {}
