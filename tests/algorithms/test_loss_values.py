"""Each loss by identity and by hand; what holds for all of them is in test_losses."""

import math

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses


def row(*numbers: float) -> Tensor:
    return torch.tensor([numbers])


def ones(columns: int) -> Tensor:
    return torch.ones(1, columns, dtype=torch.bool)


def normal(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn((rows, columns), generator=torch.Generator().manual_seed(seed))


def test_the_negative_log_likelihood_is_the_cross_entropy_of_the_tokens():
    logits = normal(5, 7, seed=1)
    tokens = torch.tensor([0, 3, 6, 2, 2])
    logprobs = logits.log_softmax(-1).gather(1, tokens[:, None]).T
    expected = torch.nn.functional.cross_entropy(logits, tokens)
    result = losses.negative_log_likelihood(logprobs, ones(5))
    assert float(result.loss) == approx(float(expected))
    assert result.metrics["negative_log_likelihood"] == approx(float(expected))


def test_weights_per_row_are_weights_per_token_and_leave_the_count():
    logprobs, mask = normal(3, 4, seed=2), torch.ones(3, 4, dtype=torch.bool)
    by_row = losses.negative_log_likelihood(logprobs, mask, torch.tensor([0.0, 1.0, 3.0]))
    expected = -(logprobs[1].sum() + 3 * logprobs[2].sum()) / 12
    assert float(by_row.loss) == approx(float(expected))


# ---- PPO ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.1, 2.0, -2.2, -2.2),  # inside: -A rho, and d/dlogpi of rho is rho
        (1.5, 2.0, -2.6, 0.0),  # above 1.3 with a good action: held, no gradient
        (0.5, 2.0, -1.0, -1.0),  # below with a good action: free to come back
        (1.5, -2.0, 3.0, 3.0),  # above with a bad action: free to come back
        (0.5, -2.0, 1.6, 0.0),  # below 0.8 with a bad action: held
        (4.0, -2.0, 6.0, 0.0),  # dual clip at 3: held
    ],
)
def test_ppo_clips_as_the_table_says(ratio: float, advantage: float, loss: float, slope: float):
    logprobs = row(math.log(ratio)).requires_grad_()
    result = losses.ppo_clip(
        logprobs, row(0.0), row(advantage), ones(1), clip_low=0.2, clip_high=0.3, dual_clip=3.0
    )
    (gradient,) = torch.autograd.grad(result.loss, logprobs)
    assert float(result.loss.detach()) == approx(loss)
    assert float(gradient) == approx(slope)
    assert result.metrics["clip_fraction"] == (slope == 0.0)
    assert result.metrics["ratio_max"] == approx(ratio)
    assert result.metrics["approx_kl"] == approx(ratio - 1 - math.log(ratio), rel=1e-5)


def test_the_largest_ratio_is_that_of_a_kept_token():
    mask = torch.tensor([[True, True, False]])
    half = row(math.log(0.5), math.log(0.25), 7.0)
    result = losses.ppo_clip(half, row(0.0, 0.0, 0.0), row(1.0, 1.0, 1.0), mask)
    assert result.metrics["ratio_max"] == approx(0.5)


def test_an_absurd_ratio_gives_finite_loss_and_gradient():
    logprobs = row(0.0, -1000.0).requires_grad_()
    result = losses.ppo_clip(logprobs, row(-1000.0, 0.0), row(-1.0, 1.0), ones(2))
    (gradient,) = torch.autograd.grad(result.loss, logprobs)
    assert math.isfinite(float(result.loss.detach()))
    assert torch.isfinite(gradient).all()


# ---- critics ------------------------------------------------------------------------------------


def test_the_expectile_at_one_half_is_half_the_squared_error():
    predictions, targets = normal(3, 4, seed=11), normal(3, 4, seed=12)
    mask = normal(3, 4, seed=13) > 0
    half = losses.expectile(predictions, targets, mask, tau=0.5)
    squared = losses.value_mse(predictions, targets, mask)
    assert float(half.loss) == approx(float(squared.loss))
    expected = ((predictions - targets)[mask] ** 2).mean() / 2
    assert float(squared.loss) == approx(float(expected))


@pytest.mark.parametrize(("tau", "minimum"), [(0.5, 2.5), (0.9, 4.5), (0.999, 4.995)])
def test_the_best_prediction_moves_from_the_mean_to_the_largest_target(tau: float, minimum: float):
    # targets 0 and 5: the slope (1 - tau) m - tau (5 - m) is zero at m = 5 tau
    for prediction, sign in ((minimum - 0.001, -1), (minimum + 0.001, 1)):
        leaf = torch.full((1, 2), prediction, requires_grad=True)
        loss = losses.expectile(leaf, row(0.0, 5.0), ones(2), tau).loss
        (slope,) = torch.autograd.grad(loss, leaf)
        assert float(slope.sum()) * sign > 0


def test_the_expectile_by_hand():
    # u = 2 above: .8 * 4; u = -1 below: .2 * 1; mean (3.2 + .2) / 2
    result = losses.expectile(row(0.0, 1.0), row(2.0, 0.0), ones(2), tau=0.8)
    assert float(result.loss) == approx(1.7)
    with pytest.raises(ValueError, match=r"tau is 1\.0; expected a number between 0 and 1"):
        losses.expectile(row(0.0), row(0.0), ones(1), tau=1.0)


def test_a_clipped_critic_gains_nothing_beyond_the_clip():
    def slope(value: float) -> float:
        values = row(value).requires_grad_()
        loss = losses.value_mse(
            values, row(3.0), ones(1), old_values=row(1.0), clip=0.5, total=1
        ).loss
        return float(torch.autograd.grad(loss, values)[0])

    assert slope(1.2) == approx(1.2 - 3.0)  # within the clip: the plain gradient
    assert slope(1.6) == 0.0  # towards the target, beyond the clip: none
    assert slope(0.2) == approx(0.2 - 3.0)  # away from the target: back at once
    with pytest.raises(ValueError, match="give both clip and old_values or none"):
        losses.value_mse(row(0.0), row(0.0), ones(1), clip=0.2)


def test_archers_critic_adds_the_squared_errors_of_its_four_heads():
    value = {"q1": 1.0, "q2": 2.0, "v1": 3.0, "v2": 4.0}
    result = losses.archer_critic(
        *(row(number, 9.0) for number in value.values()),
        targets_for_q1=row(0.0, 0.0),
        targets_for_q2=row(0.0, 0.0),
        targets_for_v1=row(1.0, 0.0),
        targets_for_v2=row(4.0, 0.0),
        mask=torch.tensor([[True, False]]),
    )
    assert float(result.loss) == 1.0 + 4.0 + 4.0 + 0.0
    expected = {"q1_error": 1.0, "q2_error": 4.0, "v1_error": 4.0, "v2_error": 0.0}
    assert result.metrics == expected
