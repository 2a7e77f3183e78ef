"""Losses for turns that somebody else played: what they are equal to, a bandit, then by hand."""

import math

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from algorithms.losses.advantage_weighted import a_lol, direct_advantage, success_cross_entropy
from tests.algorithms.test_loss_values import normal, ones, row

TURNS = torch.tensor([[-1, 0, 0, -1, 1, 1], [0, 0, 0, 2, 2, -1], [0, 1, 2, -1, -1, -1]])
MASK = TURNS >= 0


def slope_of(loss: Tensor, logprobs: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logprobs)[0]


def per_turn_advantages(seed: int) -> Tensor:
    """[B, L] each token of a turn has the turn's."""
    return normal(3, 3, seed).gather(1, TURNS.clamp(min=0))


@pytest.mark.parametrize("importance", ["turn", "token", "none"])
def test_a_lol_with_advantages_of_1_at_the_reference_is_behaviour_cloning(importance: str):
    logprobs = normal(3, 6, 1).requires_grad_()
    ours = a_lol(
        logprobs,
        logprobs.detach(),
        torch.ones(3, 6),
        MASK,
        TURNS,
        importance=importance,  # type: ignore[arg-type]
    )
    plain = losses.negative_log_likelihood(logprobs, MASK)
    assert float(ours.loss.detach()) == approx(float(plain.loss.detach()))
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(plain.loss, logprobs))
    assert ours.metrics == {"importance": 1.0, "kept": 1.0}


def test_a_lol_is_imitation_weighted_by_positive_advantages_and_a_clipped_ratio_of_turns():
    logprobs, old = (0.5 * normal(3, 6, 2)).requires_grad_(), 0.5 * normal(3, 6, 3)
    advantages = per_turn_advantages(4)
    weights = torch.zeros(3, 6)
    for b in range(3):
        for turn in set(TURNS[b].tolist()) - {-1}:
            own = TURNS[b] == turn
            ratio = math.exp(float((logprobs.detach() - old)[b, own].sum()))
            weights[b, own] = min(max(ratio, 0.5), 1.5) * advantages[b, own].clamp(min=0.0)
    kept = MASK & (advantages > 0)
    assert 0 < kept.sum() < MASK.sum()
    ours = a_lol(logprobs, old, advantages, MASK, TURNS, clip=0.5)
    plain = losses.negative_log_likelihood(logprobs, kept, weights)
    assert float(ours.loss.detach()) == approx(float(plain.loss.detach()), rel=1e-5)
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(plain.loss, logprobs))


def test_a_lols_kl_term_has_the_gradient_of_lowered_advantages():
    logprobs, old = normal(3, 6, 5).requires_grad_(), normal(3, 6, 6)
    advantages = per_turn_advantages(7)
    ours = a_lol(logprobs, old, advantages, MASK, TURNS, importance="none", kl=0.3)
    kept = MASK & (advantages > 0)
    lowered = losses.policy_gradient(logprobs, advantages - 0.3, kept)
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(lowered.loss, logprobs))


def test_a_lol_by_hand():
    # ratios 2 and 1/2; turns 0 and 1; clipped to 1.9 and .5; the third is bad and left out
    logprobs = torch.log(torch.tensor([[0.5, 0.25, 0.5]]))
    old = torch.log(torch.tensor([[0.25, 0.5, 0.5]]))
    turns = torch.tensor([[0, 1, 2]])
    result = a_lol(logprobs, old, row(1.0, 2.0, -1.0), ones(3), turns)
    assert float(result.loss) == approx((1.9 * math.log(2) + 2 * 0.5 * math.log(4)) / 2)
    assert result.metrics["importance"] == approx((1.9 + 0.5) / 2)
    assert result.metrics["kept"] == approx(2 / 3)
    with pytest.raises(ValueError, match=r"clip -1\.0, kl 0\.0; expected both to be at least 0"):
        a_lol(logprobs, old, row(1.0, 2.0, -1.0), ones(3), turns, clip=-1.0)


def test_nothing_better_than_the_reference_gives_no_gradient_to_a_lol():
    logprobs = normal(3, 6, 8).requires_grad_()
    ours = a_lol(logprobs, normal(3, 6, 9), -torch.ones(3, 6), MASK, TURNS, kl=1.0)
    assert float(ours.loss.detach()) == 0.0
    assert slope_of(ours.loss, logprobs).abs().max() == 0.0


def test_direct_advantage_at_the_reference_has_the_gradient_of_the_policy_gradient():
    logprobs = normal(3, 6, 10).requires_grad_()
    advantages, turns = per_turn_advantages(11), 7
    ours = direct_advantage(logprobs, logprobs.detach(), advantages, MASK, TURNS, beta=0.5)
    plain = losses.policy_gradient(logprobs, advantages / 0.5, MASK, total=turns)
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(plain.loss, logprobs))


def test_direct_advantage_with_a_turn_per_row_is_opmd_over_its_tau():
    logprobs, old = normal(3, 6, 12).requires_grad_(), normal(3, 6, 13)
    advantages = normal(3, 1, 14).expand(3, 6)
    one = torch.where(MASK, 0, -1)
    ours = direct_advantage(logprobs, old, advantages, MASK, one, beta=0.4, total=1)
    opmd = losses.opmd(logprobs, old, advantages, MASK, tau=0.4, total=0.4)
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(opmd.loss, logprobs))


# a bandit whose reference takes three arms in quarters, so that four rows are its expectation
REFERENCE, REWARDS, BETA = np.array([0.5, 0.25, 0.25]), np.array([0.0, 1.0, 0.5]), 0.5
ADVANTAGES = REWARDS - REFERENCE @ REWARDS
PULLED = torch.tensor([0, 0, 1, 2])


def objective(chances: np.ndarray) -> np.ndarray:
    """The loss of policies [..., arm], by its definition."""
    errors = np.log(chances / REFERENCE) - ADVANTAGES / BETA
    return 0.5 * (REFERENCE * errors**2).sum(-1)


def descended() -> np.ndarray:
    logits = torch.zeros(3, requires_grad=True)
    old = torch.log(torch.tensor(REFERENCE, dtype=torch.float32))[PULLED][:, None]
    advantages = torch.tensor(ADVANTAGES, dtype=torch.float32)[PULLED][:, None]
    turns, mask = torch.zeros(4, 1, dtype=torch.long), torch.ones(4, 1, dtype=torch.bool)
    for _ in range(600):
        logprobs = torch.log_softmax(logits, 0)[PULLED][:, None]
        loss = direct_advantage(logprobs, old, advantages, mask, turns, beta=BETA).loss
        (slope,) = torch.autograd.grad(loss, logits)
        with torch.no_grad():
            logits -= 1.0 * slope
    return torch.softmax(logits.detach(), 0).numpy()


def test_direct_advantages_minimiser_on_a_bandit_is_the_enumerated_one():
    ticks = np.arange(1, 400) / 400
    grid = np.array([(a, b, 1 - a - b) for a in ticks for b in ticks if a + b < 1 - 1e-9])
    best = grid[objective(grid).argmin()]
    found = descended()
    assert found == approx(best, abs=1 / 400)
    assert objective(found) <= objective(best) + 1e-7
    # better arms gained and worse ones lost, and so did the expected reward
    assert list(np.argsort(found / REFERENCE)) == list(np.argsort(ADVANTAGES))
    assert found @ ADVANTAGES > 0.2


def test_direct_advantage_by_hand():
    # turn 0 moved by 1 of 2 tokens' .5 each and should by 2; turn 1 should stay and moved by -1
    now, old = row(-0.5, -0.5, -2.0), row(-1.0, -1.0, -1.0)
    turns = torch.tensor([[0, 0, 1]])
    result = direct_advantage(now, old, row(1.0, 1.0, 0.0), ones(3), turns, beta=0.5)
    assert float(result.loss) == approx(0.5 * ((1 - 2) ** 2 + (-1 - 0) ** 2) / 2)
    assert result.metrics == {"log_ratio": 0.0, "advantage": 0.5, "distance": approx(1.0)}
    with pytest.raises(ValueError, match=r"beta is 0\.0; expected a number above 0"):
        direct_advantage(now, old, row(1.0, 1.0, 0.0), ones(3), turns, beta=0.0)


def test_cross_entropy_to_success_by_hand_and_with_the_gradient_p_minus_y():
    logits = torch.tensor([[math.log(3.0), 0.0, 9.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False]])
    result = success_cross_entropy(logits, row(1.0, 0.0, 0.0), mask)
    assert float(result.loss.detach()) == approx((math.log(4 / 3) + math.log(2)) / 2)
    expected = row((0.75 - 1) / 2, 0.5 / 2, 0.0)
    torch.testing.assert_close(slope_of(result.loss, logits), expected)
    assert result.metrics == {"value_error": approx((0.0625 + 0.25) / 2), "accuracy": 1.0}
