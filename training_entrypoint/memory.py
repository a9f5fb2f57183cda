"""How much of a GPU's memory a training takes, and how it comes by with less.

Nothing here imports torch before it is asked for: the job's start needs `out_of_memory`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lensa.contract import TrainingConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

GB = 1e9

# What a parameter that is trained takes beside its fp32 value and gradient, in bytes.
_OF_THE_OPTIMIZER = {"adamw": 8, "adamw8bit": 2, "prodigy": 16}

# Bytes that autograd keeps for the way back, by latent pixel and image of a batch, in mixed
# precision: counted by benchmarks/training_memory.py on a UNet of SD 1.x's size.
_KEPT, _MORE_FOR_DORA, _MORE_FOR_ALL_LAYERS = 300_000, 120_000, 80_000
_KEPT_CHECKPOINTED = 100_000  # with that of the one block that is computed again
_RESERVE = 1.5 * GB  # CUDA's own, the libraries' work space, and what fragments leave unused

Kind = Literal["normal", "lean"]


@dataclass(frozen=True)
class Plan:
    """How a training is computed. What it computes is the same under every plan, but for the 8-bit
    optimiser that `memory="lean"` takes on a GPU."""

    config: TrainingConfig  # with what the plan says of gradient checkpointing and the optimiser
    parts: int = 1  # a batch is computed in so many parts, whose gradients are summed
    offload: bool = False  # what only drawing needs waits in the machine's memory

    def leaner(self) -> Plan | None:
        """Return the leanest plan with the same mathematics; None if it is this one."""
        config = self.config.model_copy(update={"gradient_checkpointing": True})
        plan = Plan(config, self.config.batch_size, offload=True)
        return None if plan == self else plan

    def words(self) -> str:
        said = ["gradient checkpointing"] if self.config.gradient_checkpointing else []
        if self.parts > 1:
            said.append(f"each batch in {self.parts} parts")
        if self.offload:
            said.append("what only drawing needs off the GPU")
        return ", ".join([*said, f"optimizer {self.config.optimizer}"])


def make_plan(config: TrainingConfig, kind: Kind, *, gpu: bool) -> Plan:
    """Return the plan of `memory="normal"` or "lean"."""
    if kind == "normal":
        return Plan(config)
    changes: dict[str, Any] = {"gradient_checkpointing": True}
    if gpu and config.optimizer == "adamw":
        changes["optimizer"] = "adamw8bit"
    return Plan(config.model_copy(update=changes), offload=True)


def choose(
    config: TrainingConfig, pipeline: Any, precision: str, there: float | None
) -> tuple[Kind, str]:
    """Return what `memory` comes to on a GPU of so many bytes (None: there is no GPU), and a
    sentence about it if the GPU decided."""
    if config.memory != "auto":
        return config.memory, ""
    if there is None:
        return "normal", ""
    needed = estimate(config, pipeline, precision)
    kind: Kind = "normal" if needed <= there else "lean"
    return kind, (
        f"memory: {kind}, as a normal training needs about {needed / GB:.1f} GB "
        f"and the GPU has {there / GB:.1f} GB"
    )


def estimate(config: TrainingConfig, pipeline: Any, precision: str) -> float:
    """Return the bytes of GPU memory that a training takes at its peak, by its parameters and the
    size of its images: an estimate, which no GPU has confirmed."""
    from inference_entrypoint.families import family_of

    family = family_of(pipeline)
    parts = family.parts(pipeline)
    half = 4 if precision == "fp32" else 2
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    trained = ["unet", "text_encoder"] if config.train_text_encoder else ["unet"]
    of_each = 8 + _OF_THE_OPTIMIZER[config.optimizer] + 4 * (config.ema_decay is not None)
    total = _RESERVE
    for name, count in counts.items():
        if name in trained and config.method == "full":
            total += count * (of_each + (half if half == 2 else 0))  # autocast keeps a copy
        else:
            total += count * half
    if config.method == "lora":
        total += of_each * lora_size(config, pipeline)
    rows = config.batch_size * (2 if config.prior_preservation else 1)
    pixels = (config.resolution // 8) ** 2
    kept = _KEPT + _MORE_FOR_DORA * config.dora
    kept += _MORE_FOR_ALL_LAYERS * (config.lora_targets == "all")
    if config.gradient_checkpointing:
        kept = _KEPT_CHECKPOINTED
    return total + rows * pixels * kept * half / 2


def lora_size(config: TrainingConfig, pipeline: Any) -> int:
    """Return how many numbers a LoRA of this training has."""
    from inference_entrypoint.adapters import expected_shapes

    total = 0
    for shape in expected_shapes(pipeline, config).values():
        size = 1
        for side in shape:
            size *= side
        total += size
    return total


class Resting:
    """Networks that only drawing needs; with `away`, on the GPU no longer than that."""

    def __init__(self, modules: list[nn.Module], device: torch.device, away: bool) -> None:
        self._modules, self._device, self._away = modules, device, away
        self._move("cpu")

    @contextmanager
    def here(self) -> Iterator[None]:
        self._move(self._device)
        try:
            yield
        finally:
            self._move("cpu")

    def _move(self, device: torch.device | str) -> None:
        if self._away:
            for module in self._modules:
                module.to(device)


def out_of_memory(error: BaseException) -> Literal["GPU", "machine"] | None:
    """Return whose memory an error says is full. The allocator has an error of its own; the
    libraries of CUDA only say it in words."""
    text = str(error)
    words = ("CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    if type(error).__name__ == "OutOfMemoryError" or any(word in text for word in words):
        return "GPU"
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "machine"
    return None
