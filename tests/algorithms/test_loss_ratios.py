"""Whose probabilities a clip compares: tokens, turns, rows, or both of the last and first."""

import math
from typing import Any

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from algorithms.losses import Ratio, Reduction
from tests.algorithms.test_loss_values import normal, ones, row

RATIOS: tuple[Ratio, ...] = ("token", "turn", "sequence", "hybrid")
TURNS = torch.tensor([[-1, 0, 0, -1, 1, 1], [0, 0, 0, 2, 2, -1]])
MASK = TURNS >= 0


def slope_of(result: losses.LossOutput, logprobs: Tensor) -> Tensor:
    return torch.autograd.grad(result.loss, logprobs)[0]


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("reduction", ["token", "turn", "episode"])
def test_at_ratio_one_the_gradient_of_ppo_is_that_of_reinforce(ratio: Ratio, reduction: Reduction):
    logprobs = normal(2, 6, seed=3).requires_grad_()
    advantages = normal(2, 6, seed=4)
    how: dict[str, Any] = {"reduction": reduction, "turn_index": TURNS}
    clipped = losses.ppo_clip(
        logprobs, logprobs.detach(), advantages, MASK, dual_clip=3.0, ratio=ratio, **how
    )
    plain = losses.policy_gradient(logprobs, advantages, MASK, **how)
    torch.testing.assert_close(slope_of(clipped, logprobs), slope_of(plain, logprobs))
    assert clipped.metrics == {"ratio_max": 1.0, "clip_fraction": 0.0, "approx_kl": 0.0}


def test_the_ratio_of_a_turn_has_the_gradient_of_the_whole_turns_objective():
    # against the definition, turn by turn: rho_k = exp of the sum of the turn's log-ratios
    logprobs = (0.3 * normal(2, 6, seed=6)).requires_grad_()
    old = 0.3 * normal(2, 6, seed=7)
    per_turn = {(0, 0): 1.5, (0, 1): -0.5, (1, 0): -2.0, (1, 2): 1.0}
    advantages = torch.zeros(2, 6)
    objective = torch.zeros(())
    for (which, turn), advantage in per_turn.items():
        here = TURNS[which] == turn
        advantages[which, here] = advantage
        ratio = (logprobs - old)[which, here].sum().exp()
        held = ratio.clamp(0.8, 1.2)
        objective = objective - torch.minimum(ratio * advantage, held * advantage)
    (expected,) = torch.autograd.grad(objective / MASK.sum(), logprobs)
    result = losses.ppo_clip(logprobs, old, advantages, MASK, ratio="turn", turn_index=TURNS)
    torch.testing.assert_close(slope_of(result, logprobs), expected)
    assert expected.abs().max() > 0
    assert result.metrics["clip_fraction"] > 0  # both cases are in the comparison


def row_objective(logprobs: Tensor, old: Tensor, advantages_B: Tensor, clip: float) -> Tensor:
    """GSPO's loss from its definition: s = exp of the mean log-ratio, one term per response."""
    terms = []
    for which, advantage in enumerate(advantages_B):
        s = (logprobs - old)[which, MASK[which]].mean().exp()
        terms.append(-torch.minimum(s * advantage, s.clamp(1 - clip, 1 + clip) * advantage))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("signs", [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
def test_the_ratio_of_a_row_has_the_value_and_gradient_of_gspo(signs: tuple[float, float]):
    logprobs = (0.1 * normal(2, 6, seed=6)).requires_grad_()
    old = 0.1 * normal(2, 6, seed=9)
    advantages_B = torch.tensor(signs)
    expected = row_objective(logprobs, old, advantages_B, 0.01)
    result = losses.ppo_clip(
        logprobs,
        old,
        advantages_B[:, None].expand(2, 6),
        MASK,
        clip_low=0.01,
        clip_high=0.01,
        ratio="sequence",
        reduction="episode",
    )
    assert float(result.loss.detach()) == approx(float(expected.detach()), rel=1e-5)
    (slope,) = torch.autograd.grad(expected, logprobs)
    torch.testing.assert_close(slope_of(result, logprobs), slope)
    # a row is held as a whole or not at all: their ratios are .88 and 1.02
    held = [bool((slope[which, MASK[which]] == 0).all()) for which in range(2)]
    free = [bool((slope[which, MASK[which]] != 0).all()) for which in range(2)]
    assert held == [signs[0] < 0, signs[1] > 0] == [not each for each in free]


def test_the_hybrid_is_the_mean_of_the_token_and_the_row_loss_each_with_its_own_clip():
    logprobs = (0.3 * normal(2, 6, seed=6)).requires_grad_()
    old, advantages = 0.3 * normal(2, 6, seed=7), normal(2, 6, seed=8)
    both, token, whole = (
        losses.ppo_clip(logprobs, old, advantages, MASK, clip_low=0.1, clip_high=0.1, ratio=ratio)
        for ratio in ("hybrid", "token", "sequence")
    )
    assert float(both.loss.detach()) == approx(float((token.loss + whole.loss).detach()) / 2)
    mean = (slope_of(token, logprobs) + slope_of(whole, logprobs)) / 2
    torch.testing.assert_close(slope_of(both, logprobs), mean)
    shares = token.metrics["clip_fraction"], whole.metrics["clip_fraction"]
    assert both.metrics["clip_fraction"] == approx(sum(shares) / 2)
    assert shares[0] != shares[1]


def test_a_hybrid_token_that_one_branch_clips_keeps_the_half_of_the_other_by_hand():
    # ratios 2 and 0.5: each token is clipped or free by itself, the row's ratio is 1
    logprobs = row(math.log(2.0), math.log(0.5)).requires_grad_()
    result = losses.ppo_clip(logprobs, row(0.0, 0.0), row(1.0, 1.0), ones(2), ratio="hybrid")
    # token branch: -min(2, 1.2), -min(.5, .8); row branch: -1, -1; halved, mean over 2 tokens
    assert float(result.loss.detach()) == approx(-((1.2 + 1) / 2 + (0.5 + 1) / 2) / 2)
    expected = row(-(0.0 + 1.0) / 4, -(0.5 + 1.0) / 4)
    torch.testing.assert_close(slope_of(result, logprobs), expected)
    assert result.metrics["clip_fraction"] == 0.25  # one token of two in one branch of two


def test_rows_of_one_token_and_turns_of_one_token_are_the_token_form():
    logprobs, old, advantages = normal(4, 1, 8), normal(4, 1, 9), normal(4, 1, 10)
    mask, turns = torch.ones(4, 1, dtype=torch.bool), torch.zeros(4, 1, dtype=torch.long)
    by_token = losses.ppo_clip(logprobs, old, advantages, mask)
    for ratio in RATIOS:
        other = losses.ppo_clip(logprobs, old, advantages, mask, ratio=ratio, turn_index=turns)
        assert float(other.loss) == approx(float(by_token.loss))
        assert other.metrics == approx(by_token.metrics)


def test_without_asking_for_it_the_turn_index_changes_nothing():
    logprobs, old, advantages = normal(2, 6, 8), normal(2, 6, 9), normal(2, 6, 10)
    without = losses.ppo_clip(logprobs, old, advantages, MASK)
    given = losses.ppo_clip(logprobs, old, advantages, MASK, turn_index=TURNS)
    assert float(given.loss) == float(without.loss) and given.metrics == without.metrics


@pytest.mark.parametrize(
    ("low", "high", "slope", "loss"),
    [(0.6, 0.4, (0.0, 0.5), -1.4 + 0.5), (0.4, 0.6, (-1.5, 0.0), -1.5 + 0.6)],
)
def test_clips_may_differ_by_side(low: float, high: float, slope: tuple[float, float], loss: float):
    logprobs = row(math.log(1.5), math.log(0.5)).requires_grad_()
    result = losses.ppo_clip(
        logprobs, row(0.0, 0.0), row(1.0, -1.0), ones(2), clip_low=low, clip_high=high, total=1
    )
    torch.testing.assert_close(slope_of(result, logprobs), row(*slope))
    assert float(result.loss.detach()) == approx(loss)


def test_wrong_clips_units_and_turns_are_refused():
    one = row(0.0)
    with pytest.raises(ValueError, match=r"clip_low 1\.5, clip_high 0\.2; expected 0 to 1"):
        losses.ppo_clip(one, one, one, ones(1), clip_low=1.5)
    with pytest.raises(ValueError, match=r"clip_high -1\.0; expected 0 to 1"):
        losses.ppo_clip(one, one, one, ones(1), clip_high=-1.0)
    with pytest.raises(ValueError, match=r"dual_clip is 0\.5; expected a ratio above 1"):
        losses.ppo_clip(one, one, one, ones(1), dual_clip=0.5)
    with pytest.raises(ValueError, match='the unit "turn" needs turn_index'):
        losses.ppo_clip(one, one, one, ones(1), ratio="turn")
    with pytest.raises(ValueError, match="turn_index is negative"):
        losses.ppo_clip(one, one, one, ones(1), ratio="turn", turn_index=torch.tensor([[-1]]))
