"""The critic of mini's own training: what it holds against a prediction."""

from __future__ import annotations

import pytest
import torch

from mini.attributes import VALUES
from mini.critic import CHANNELS, QUIET, Critic
from mini.reader import UNTOLD

ROW = torch.zeros(1, len(VALUES), dtype=torch.long)  # everything told


@pytest.fixture(scope="module")
def critic() -> Critic:
    torch.manual_seed(0)
    return Critic().eval().requires_grad_(False)


def latents(seed: int) -> torch.Tensor:
    return torch.randn(1, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(seed))


def loss(
    critic: Critic, predicted: torch.Tensor, told: torch.Tensor = ROW, weight: float = 1.0
) -> float:
    return critic.loss(predicted, latents(0), torch.tensor([weight]), told).item()


def test_a_prediction_that_is_the_picture_loses_least(critic: Critic) -> None:
    assert loss(critic, latents(0)) < loss(critic, latents(0) + 0.3 * latents(1))
    assert loss(critic, latents(0) + 0.3 * latents(1)) < loss(critic, latents(1))


def test_a_prediction_learns_from_it_and_the_critic_does_not(critic: Critic) -> None:
    predicted = latents(1).requires_grad_()
    critic.loss(predicted, latents(0), torch.ones(1), ROW).backward()
    assert predicted.grad is not None and predicted.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_what_no_caption_tells_is_not_asked_for(critic: Critic) -> None:
    nothing = torch.full_like(ROW, UNTOLD)
    without = nothing.clone()
    without[0, list(VALUES).index("background")] = 0  # loud: the squared error sees it
    expression = nothing.clone()
    expression[0, list(VALUES).index("expression")] = 0
    other = latents(1)
    assert "expression" in QUIET and "background" not in QUIET
    assert loss(critic, other, nothing) == loss(critic, other, without)
    assert loss(critic, other, expression) > loss(critic, other, nothing)


def test_a_picture_counts_by_its_weight(critic: Critic) -> None:
    whole = loss(critic, latents(1))
    assert loss(critic, latents(1), weight=0.25) == pytest.approx(whole / 4, rel=1e-5)
