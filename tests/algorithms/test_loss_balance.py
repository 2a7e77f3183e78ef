"""BAPO's adaptive bounds: where they stop, and that the loss then has the share they promise."""

import math

import pytest
import torch
from pytest import approx

from algorithms import losses
from tests.algorithms.test_loss_values import normal, ones, row


def logs(*ratios: float) -> torch.Tensor:
    return row(*(math.log(ratio) for ratio in ratios))


def test_a_batch_in_balance_keeps_the_bounds_it_starts_with():
    found = losses.balanced_clip(logs(1.0, 1.0), row(1.0, -1.0), ones(2))
    assert found == approx((0.4, 0.2, 0.5))
    nothing = losses.balanced_clip(logs(1.0), row(0.0), ones(1))
    assert nothing == approx((0.4, 0.2, 1.0))


def test_the_upper_bound_rises_first_and_only_as_far_as_it_must():
    # held at 1.2 the positive token counts nothing; at 1.4 (two steps of .1) it is 1.35 of 2.35
    found = losses.balanced_clip(
        logs(1.35, 1.0), row(1.0, -1.0), ones(2), high=(1.2, 3.0), steps=(0.1, 0.1)
    )
    assert found == approx((0.4, 0.4, 1.35 / 2.35))


def test_then_the_lower_bound_rises_and_takes_negative_gradients_away():
    # nothing is above 1.2: all of the upper bound's way is no use; .65 is held from .7 on
    found = losses.balanced_clip(
        logs(1.0, 1.0, 0.65), row(1.0, -1.0, -1.0), ones(3), steps=(0.1, 0.3)
    )
    assert found == approx((1 - 0.7, 2.0, 0.5))


def test_what_cannot_be_balanced_ends_at_the_last_bounds_even_off_the_steps():
    found = losses.balanced_clip(
        logs(1.0, 1.0), row(1.0, -9.0), ones(2), low=(0.6, 0.9), high=(1.2, 3.0), steps=(0.2, 0.7)
    )
    assert found == approx((0.1, 2.0, 0.1))


def test_the_share_is_that_of_the_gradients_that_the_clipped_loss_really_has():
    log_ratios, advantages = 0.5 * normal(4, 50, 1), normal(4, 50, 2) - 0.3
    mask = normal(4, 50, 3) > -0.5
    low, high, share = losses.balanced_clip(log_ratios, advantages, mask)
    assert 0.4 > low >= 0.1 or high > 0.2  # something had to move
    leaf = log_ratios.clone().requires_grad_()
    result = losses.ppo_clip(
        leaf, torch.zeros(4, 50), advantages, mask, clip_low=low, clip_high=high, total=1
    )
    (slope,) = torch.autograd.grad(result.loss, leaf)
    positive = slope[advantages > 0].abs().sum()
    assert float(positive / slope.abs().sum()) == approx(share, rel=1e-5)


def test_counting_held_tokens_at_their_bound_would_move_the_share_the_wrong_way():
    # the paper's inequality, |min(rho A, clip(rho) A)|, for a positive token and a held negative
    ratio, advantages = torch.tensor([1.0, 0.5]), torch.tensor([1.0, -1.0])

    def published(bottom: float) -> float:
        size = torch.minimum(ratio * advantages, ratio.clamp(bottom, 3.0) * advantages).abs()
        return float(size[0] / size.sum())

    assert published(0.9) < published(0.6) < 1.0
    tightened = losses.balanced_clip(
        ratio.log()[None], advantages[None], ones(2), low=(0.4, 0.9), positive_share=0.9
    )
    assert tightened[2] == 1.0  # the negative one has no gradient, and so no part


def test_masked_tokens_and_absurd_ratios_do_not_reach_the_bounds():
    log_ratios = row(0.0, math.nan, 0.0, 500.0)
    advantages = row(1.0, math.inf, -1.0, 0.0)
    mask = torch.tensor([[True, False, True, True]])
    assert losses.balanced_clip(log_ratios, advantages, mask) == approx((0.4, 0.2, 0.5))


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"expected 0 <= low <= 1 <= high"):
        losses.balanced_clip(row(0.0), row(0.0), ones(1), low=(0.9, 0.6))
    with pytest.raises(ValueError, match=r"steps above 0"):
        losses.balanced_clip(row(0.0), row(0.0), ones(1), steps=(0.0, 0.1))
    with pytest.raises(ValueError, match=r"positive_share is 2\.0"):
        losses.balanced_clip(row(0.0), row(0.0), ones(1), positive_share=2.0)
