"""OPMD and asymmetric REINFORCE: what they are equal to, then by hand."""

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from tests.algorithms.test_loss_values import normal, ones, row

TURNS = torch.tensor([[-1, 0, 0, -1, 1, 1], [0, 0, 0, 2, 2, -1], [0, 1, 2, -1, -1, -1]])
MASK = TURNS >= 0


def slope_of(loss: Tensor, logprobs: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logprobs)[0]


def test_opmd_where_nothing_has_moved_is_reinforce():
    logprobs, advantages = normal(3, 6, 1).requires_grad_(), normal(3, 6, 2)
    ours = losses.opmd(logprobs, logprobs.detach(), advantages, MASK, tau=5.0)
    plain = losses.policy_gradient(logprobs, advantages, MASK)
    assert float(ours.loss.detach()) == approx(float(plain.loss.detach()))
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(plain.loss, logprobs))
    assert ours.metrics == {"log_ratio_square": 0.0}


def test_opmd_is_the_squared_consistency_loss_of_a_group_up_to_a_constant():
    # (r - mean - tau x)^2 / (2 tau) for each response, x the log-ratio of the whole of it
    logprobs, old = normal(3, 6, 3).requires_grad_(), normal(3, 6, 4)
    rewards, tau = torch.tensor([1.0, 0.0, 0.25]), 0.7
    advantages_B = rewards - rewards.mean()
    x = torch.where(MASK, logprobs - old, 0.0).sum(dim=1)
    consistency = ((advantages_B - tau * x) ** 2).sum() / (2 * tau)
    constant = (advantages_B**2).sum() / (2 * tau)
    spread = advantages_B[:, None].expand(3, 6)
    ours = losses.opmd(logprobs, old, spread, MASK, tau=tau, total=1)
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(consistency, logprobs))
    # what A log pi lacks against A x is A log pi_old, which has no gradient either
    behind = (torch.where(MASK, old, 0.0) * spread).sum()
    assert float(ours.loss.detach()) == approx(
        float((consistency - constant - behind).detach()), rel=1e-4
    )


def test_opmd_regularises_a_row_by_the_square_of_its_log_ratio():
    logprobs, old = normal(3, 6, 5).requires_grad_(), normal(3, 6, 6)
    x = torch.stack([(logprobs - old)[row][MASK[row]].sum() for row in range(3)])
    expected = (x**2).sum() / 2
    ours = losses.opmd(logprobs, old, torch.zeros(3, 6), MASK, tau=1.0, total=1)
    assert float(ours.loss.detach()) == approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(expected, logprobs))


def test_opmd_by_hand():
    # x = .5 + .25 = .75; -1 (-.5) - 1 (-.75) + .5 * 2 * .5625, over 2 tokens
    result = losses.opmd(row(-0.5, -0.75), row(-1.0, -1.0), row(1.0, 1.0), ones(2), tau=2.0)
    assert float(result.loss) == approx((0.5 + 0.75 + 0.5625) / 2)
    assert result.metrics["log_ratio_square"] == approx(0.5625)
    with pytest.raises(ValueError, match=r"tau is -1\.0; expected 0 or more"):
        losses.opmd(row(0.0), row(0.0), row(0.0), ones(1), tau=-1.0)


def test_with_a_lowered_baseline_reinforce_has_a_little_imitation_in_it():
    logprobs, advantages = normal(3, 6, 7).requires_grad_(), normal(3, 6, 8)
    lowered = losses.lowered_baseline(advantages, MASK, delta=-0.25)
    ours = losses.policy_gradient(logprobs, lowered, MASK)
    plain = losses.policy_gradient(logprobs, advantages, MASK)
    imitation = losses.negative_log_likelihood(logprobs, MASK)
    both = plain.loss + 0.25 * imitation.loss
    assert float(ours.loss.detach()) == approx(float(both.detach()), rel=1e-5)
    torch.testing.assert_close(slope_of(ours.loss, logprobs), slope_of(both, logprobs))


def test_a_lowered_baseline_pushes_success_harder_than_failure_by_hand():
    lowered = losses.lowered_baseline(row(0.5, -0.5), ones(2), delta=-0.1)
    torch.testing.assert_close(lowered, row(0.6, -0.4))
    with pytest.raises(ValueError, match=r"delta is 0\.1; expected 0 or less"):
        losses.lowered_baseline(row(0.0), ones(1), delta=0.1)
