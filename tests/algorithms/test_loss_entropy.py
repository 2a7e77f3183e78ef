"""Entropy kept near its history, and steered to a target."""

import math

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from tests.algorithms.test_loss_values import normal, ones, row


def smoothing(entropies: Tensor, turns: list[int], history: list[float]) -> losses.LossOutput:
    index = torch.tensor([turns])
    return losses.entropy_smoothing(entropies, index >= 0, index, torch.tensor(history))


def slope_of(result: losses.LossOutput, leaf: Tensor) -> list[float]:
    return torch.autograd.grad(result.loss, leaf)[0][0].tolist()


def test_within_the_band_there_is_no_loss_and_no_gradient():
    entropies = row(0.81, 1.0, 1.19, 2.39).requires_grad_()
    result = smoothing(entropies, [0, 0, 0, 1], [1.0, 2.0])
    assert float(result.loss.detach()) == result.metrics["smoothed_fraction"] == 0.0
    assert slope_of(result, entropies) == [0.0] * 4


def test_outside_the_band_the_entropy_is_pulled_back_by_hand():
    entropies = row(1.5, 0.5, 1.5, 1.0).requires_grad_()
    result = smoothing(entropies, [0, 0, 1, 1], [1.0, 2.0])
    # 1.5 - 1.2; .8 - .5; 1.6 - 1.5; 1.6 - 1: over 4 tokens
    assert float(result.loss.detach()) == approx((0.3 + 0.3 + 0.1 + 0.6) / 4)
    assert slope_of(result, entropies) == [0.25, -0.25, -0.25, -0.25]
    assert result.metrics["smoothed_fraction"] == 1.0


def test_the_published_constant_has_no_gradient_where_the_hinge_has_one():
    logits = normal(4, 3, 1).requires_grad_()
    log_probabilities = logits.log_softmax(-1)
    entropies = -(log_probabilities.exp() * log_probabilities).sum(-1)[None]
    history = torch.tensor([0.2])
    within = (entropies > 0.8 * history) & (entropies < 1.2 * history)
    published = torch.where(within, 0.0, 0.1).mean() + 0.0 * entropies.sum()
    assert float(published.detach()) == approx(0.1)
    assert torch.autograd.grad(published, logits, retain_graph=True)[0].abs().max() == 0.0
    ours = losses.entropy_smoothing(entropies, ones(4), torch.zeros(1, 4).long(), history)
    assert torch.autograd.grad(ours.loss, logits)[0].abs().max() > 0.01


def test_a_turn_without_a_history_is_left_alone():
    entropies = row(3.0, 3.0).requires_grad_()
    result = smoothing(entropies, [0, 1], [math.nan, 1.0])
    assert float(result.loss.detach()) == approx((0.0 + 1.8) / 2)
    assert slope_of(result, entropies) == [0.0, 0.5]
    with pytest.raises(ValueError, match="turn 2 has no history among 2 turns; give one mean"):
        smoothing(entropies, [0, 2], [math.nan, 1.0])
    with pytest.raises(ValueError, match=r"expected a band around 1"):
        losses.entropy_smoothing(row(1.0), ones(1), ones(1).long(), row(1.0, 1.0)[0], low=1.1)


def test_the_coefficient_rises_while_entropy_is_below_its_target_and_falls_above():
    def after(coefficient: float, entropy: float) -> float:
        return losses.controlled_coefficient(coefficient, entropy, 1.0, 0.5, 0.001, 0.1)

    assert after(0.01, 1.0) == approx(0.01)
    assert after(0.01, 0.5) == approx(0.01 * math.exp(0.25))
    assert after(0.01, 1.5) == approx(0.01 * math.exp(-0.25))
    assert after(after(0.01, 0.5), 1.5) == approx(0.01)  # equal misses cancel
    assert after(0.099, 0.0) == 0.1 and after(0.0011, 2.0) == 0.001
    assert losses.controlled_coefficient(1.0, 0.0, 1e6, 1.0) == 1.0
    with pytest.raises(ValueError, match="entropy is nan; expected the mean of a batch"):
        after(0.01, math.nan)
    with pytest.raises(ValueError, match="expected 0 <= low <= high"):
        losses.controlled_coefficient(0.1, 1.0, 1.0, 0.1, low=2.0)
