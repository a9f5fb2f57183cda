"""What is trained: LoRA layers or all weights, of the UNet and, if asked, of the text encoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import nn

from inference_entrypoint.families import family_of
from lensa.contract import TrainingConfig
from training_entrypoint.onednn import by_onednn

ADAPTER = "default"


class Trainable:
    """The parameters that change, by name, and the modules they belong to.

    What is trained is held in fp32 (master weights), everything else in the compute type.
    """

    def __init__(self, pipeline: Any, config: TrainingConfig, dtype: torch.dtype) -> None:
        self.config = config
        family = family_of(pipeline)
        parts = family.parts(pipeline)
        for part in parts.values():
            part.requires_grad_(False)
            part.to(dtype=dtype)
        trained = ["unet", "text_encoder"] if config.train_text_encoder else ["unet"]
        self.modules: dict[str, nn.Module] = {name: parts[name] for name in trained}
        targets = family.lora_targets[config.lora_targets]
        for name, module in self.modules.items():
            if config.method == "lora":
                self._add_lora(module, targets[name], index=trained.index(name))
            else:
                module.to(dtype=torch.float32)
                module.requires_grad_(True)
        for parameter in self.parameters():
            parameter.data = parameter.data.float()
        if config.gradient_checkpointing:
            parts["unet"].enable_gradient_checkpointing()
            if config.train_text_encoder:
                parts["text_encoder"].gradient_checkpointing_enable()
        if pipeline.device.type == "cpu":
            for module in self.modules.values():
                by_onednn(module)

    def _add_lora(self, module: Any, targets: tuple[str, ...], index: int) -> None:
        config = self.config
        with torch.random.fork_rng():
            torch.manual_seed(config.seed + index)  # peft draws A from the global generator
            module.add_adapter(
                LoraConfig(
                    r=config.lora_rank,
                    lora_alpha=config.lora_alpha or config.lora_rank,
                    init_lora_weights="gaussian",
                    target_modules=list(targets),
                    use_dora=config.dora,
                ),
                adapter_name=ADAPTER,
            )
        if config.dora:
            _set_magnitudes(module)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for prefix, module in self.modules.items():
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    yield f"{prefix}.{name}", parameter

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for _, parameter in self.named_parameters()]

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for an optimiser, each with its own learning rate."""
        config = self.config
        rates = {
            "unet": config.learning_rate,
            "text_encoder": config.text_encoder_learning_rate or config.learning_rate,
        }
        return [
            {
                "params": [p for p in module.parameters() if p.requires_grad],
                "lr": rates[name],
                "base_lr": rates[name],
            }
            for name, module in self.modules.items()
        ]

    def state(self) -> dict[str, torch.Tensor]:
        return {
            name: parameter.detach().contiguous() for name, parameter in self.named_parameters()
        }

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Put saved weights back; KeyError if a single one is missing or unknown."""
        own = dict(self.named_parameters())
        if own.keys() != state.keys():
            odd = sorted(own.keys() ^ state.keys())
            raise KeyError(f"{len(odd)} weights do not match, {odd[0]} first")
        for name, parameter in own.items():
            parameter.data.copy_(state[name])

    def train(self, mode: bool = True) -> None:
        for module in self.modules.values():
            module.train(mode)


def _set_magnitudes(module: nn.Module) -> None:
    """Begin at the norms of the base's weights in fp32: peft rounds them to the base's precision,
    and the first step would be taken from another model than the base."""
    for layer in module.modules():
        if isinstance(layer, LoraLayer) and ADAPTER in layer.lora_magnitude_vector:
            weight = layer.base_layer.weight.detach().float()
            norm = weight.flatten(1).norm(dim=1)
            magnitude = layer.lora_magnitude_vector[ADAPTER].weight
            magnitude.data = norm.reshape(magnitude.shape)
