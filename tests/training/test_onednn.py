"""On a CPU, layers are computed by oneDNN: what comes out, and what is learned, stays the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from training.running import tiny_config

from inference_entrypoint.micro import build_micro
from training_entrypoint.onednn import by_onednn
from training_entrypoint.trainable import Trainable

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(48, 64), (2, 9, 48)),
    "linear of rows": (lambda: nn.Linear(64, 32), (7, 64)),
    "linear without bias": (lambda: nn.Linear(48, 64, bias=False), (3, 48)),
    "convolution": (lambda: nn.Conv2d(48, 64, 3, padding=1), (2, 48, 4, 4)),
    "convolution without bias": (lambda: nn.Conv2d(32, 32, 3, 1, 1, bias=False), (1, 32, 5, 3)),
    "every second place": (lambda: nn.Conv2d(32, 64, 3, 2, 1), (2, 32, 5, 8)),
    "convolution of a point": (lambda: nn.Conv2d(32, 64, 1), (2, 32, 20, 30)),
    "convolution of many places": (lambda: nn.Conv2d(32, 32, 3, 1, 1), (1, 32, 24, 24)),
}


def results(layer: nn.Module, shape: tuple[int, ...]) -> list[Tensor]:
    """The layer's answer, and the gradients of its input and of its parameters."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, requires_grad=True)
    out = layer(x)
    asked = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return [out, *torch.autograd.grad(out, asked, torch.randn(out.shape, generator=generator))]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_answers_and_learns_as_before(name: str, frozen: bool) -> None:
    make, shape = LAYERS[name]
    layer = make().requires_grad_(not frozen)
    kind, before = type(layer), results(layer, shape)
    by_onednn(layer)
    assert isinstance(layer, kind) and type(layer) is not kind
    for one, other in zip(before, results(layer, shape), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_half_precision_goes_its_own_way() -> None:
    layer, x = nn.Linear(64, 64), torch.randn(5, 64)
    by_onednn(layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype is torch.bfloat16
    assert layer.double()(x.double()).dtype is torch.float64


def test_layers_that_gain_nothing_or_mean_something_else_stay_as_they_are() -> None:
    layers = [
        nn.Linear(64, 4),
        nn.Conv2d(4, 64, 3, padding=1),
        nn.Conv2d(64, 64, 1, stride=2),
        nn.Conv2d(64, 64, 3, padding=1, groups=2),
        nn.Conv2d(64, 64, 3, padding=2, dilation=2),
        nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect"),
    ]
    by_onednn(nn.ModuleList(layers))
    assert {type(layer) for layer in layers} == {nn.Linear, nn.Conv2d}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_is_trained_on_a_cpu_has_such_layers_and_its_weights_keep_their_names(
    method: str,
) -> None:
    pipeline = build_micro()
    config = tiny_config(method=method)
    names = set(build_micro().unet.state_dict())
    trainable = Trainable(pipeline, config, torch.float32)
    kinds = {type(layer) for layer in pipeline.unet.modules() if isinstance(layer, nn.Linear)}
    assert any(kind is not nn.Linear for kind in kinds)
    if method == "full":
        assert set(trainable.modules["unet"].state_dict()) == names


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_drawn_meanwhile_is_what_an_endpoint_draws(name: str) -> None:
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = layer(x)
        by_onednn(layer)
        assert torch.equal(layer(x), before)
