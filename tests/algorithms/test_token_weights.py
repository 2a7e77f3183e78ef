"""Which tokens are trained: by count, by hand, and whatever the masked ones hold."""

import math

import pytest
import torch
from pytest import approx
from torch import Tensor

from algorithms import losses
from tests.algorithms.test_loss_values import normal, ones, row


def mask_of(rows: int, columns: int, seed: int) -> Tensor:
    return normal(rows, columns, seed) > -0.5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.5, 0.7, 1.0])
def test_the_mask_keeps_the_share_with_the_highest_entropies(share: float):
    entropies, mask = normal(5, 20, 1).abs(), mask_of(5, 20, 2)
    chosen = losses.high_entropy_mask(entropies, mask, share)
    assert int(chosen.sum()) == math.ceil(round(share * int(mask.sum()), 6))
    assert not (chosen & ~mask).any()
    if 0 < share < 1:
        assert entropies[chosen].min() >= entropies[mask & ~chosen].max()


def test_of_equal_entropies_the_first_are_kept():
    chosen = losses.high_entropy_mask(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool), 0.5)
    assert chosen.tolist() == [[True, True, True], [False, False, False]]


def test_a_share_that_makes_a_whole_number_gives_that_number():
    zeros = torch.zeros(1, 100)
    # 0.07 * 100 is 7.000000000000001, which must not be rounded up to 8; 0.29 * 100 not down to 28
    assert int(losses.high_entropy_mask(zeros, ones(100), 0.07).sum()) == 7
    assert int(losses.covariance_top(zeros, zeros, ones(100), 0.29).sum()) == 29


@pytest.mark.parametrize("junk", [math.inf, -math.inf, math.nan])
def test_masked_tokens_are_never_chosen_and_choose_nothing(junk: float):
    values, advantages, mask = normal(4, 9, 3), normal(4, 9, 4), mask_of(4, 9, 5)
    uniforms = torch.rand(4, 9, generator=torch.Generator().manual_seed(6))

    def chosen(fill: float) -> list[Tensor]:
        v, a, u = (torch.where(mask, each, fill) for each in (values, advantages, uniforms))
        return [
            losses.high_entropy_mask(v, mask, 0.3),
            losses.covariance_mask(v, a, mask, 0.2, u, low=0.0),
            losses.covariance_top(v, a, mask, 0.2),
            losses.covariance(v, a, mask),
        ]

    for clean, spoiled in zip(chosen(0.0), chosen(junk), strict=True):
        assert torch.equal(clean, spoiled)
        assert not spoiled[~mask].any()


def test_the_covariances_average_to_the_covariance_and_ignore_shifts():
    logprobs, advantages, mask = normal(4, 9, 7), normal(4, 9, 8), mask_of(4, 9, 9)
    parts = losses.covariance(logprobs, advantages, mask)
    both = torch.stack([logprobs[mask], advantages[mask]])
    expected = torch.cov(both, correction=0)[0, 1]
    assert float(parts[mask].mean()) == approx(float(expected), rel=1e-5)
    torch.testing.assert_close(losses.covariance(logprobs + 3, advantages - 2, mask), parts)


def test_clip_cov_drops_its_count_from_the_band_and_nothing_else():
    logprobs, advantages, mask = normal(6, 30, 10), normal(6, 30, 11), mask_of(6, 30, 12)
    uniforms = torch.rand(6, 30, generator=torch.Generator().manual_seed(13))
    parts = losses.covariance(logprobs, advantages, mask)
    band = mask & (parts >= 0.5) & (parts <= 2.0)
    kept = losses.covariance_mask(logprobs, advantages, mask, 0.05, uniforms, 0.5, 2.0)
    dropped = mask & ~kept
    count = math.floor(0.05 * int(mask.sum()))
    assert 0 < int(dropped.sum()) == count < int(band.sum())
    assert not (dropped & ~band).any() and not (kept & ~mask).any()
    assert uniforms[dropped].max() <= uniforms[band & kept].min()
    every = losses.covariance_mask(logprobs, advantages, mask, 1.0, uniforms, 0.5, 2.0)
    assert torch.equal(mask & ~every, band)  # no more than there are
    none = losses.covariance_mask(logprobs, advantages, mask, 0.0, uniforms, 0.5, 2.0)
    assert torch.equal(none, mask)


def test_clip_cov_draws_evenly_from_the_band():
    # four alike in the band, one dropped each time: each about a quarter of 2000 times
    one, mask = row(2.0, -2.0, 2.0, -2.0), ones(4)
    draws = torch.rand(2000, 1, 4, generator=torch.Generator().manual_seed(14))
    dropped = torch.stack([~losses.covariance_mask(one, one, mask, 0.25, draw) for draw in draws])
    assert dropped.sum(dim=(1, 2)).tolist() == [1] * 2000
    assert dropped.float().mean(dim=0)[0].tolist() == approx([0.25] * 4, abs=0.05)


def test_kl_cov_takes_the_largest_covariances():
    logprobs, advantages, mask = normal(6, 30, 15), normal(6, 30, 16), mask_of(6, 30, 17)
    parts = losses.covariance(logprobs, advantages, mask)
    top = losses.covariance_top(logprobs, advantages, mask, 0.1)
    assert int(top.sum()) == math.floor(0.1 * int(mask.sum())) > 0
    assert parts[top].min() >= parts[mask & ~top].max()


def test_sign_weights_scale_successes_and_failures_apart_and_add_up():
    advantages = normal(3, 4, 18)
    assert torch.equal(losses.sign_weighted(advantages), advantages)
    only_good = losses.sign_weighted(advantages, negative=0.0)
    only_bad = losses.sign_weighted(advantages, positive=0.0)
    assert (only_good >= 0).all() and (only_bad <= 0).all()
    torch.testing.assert_close(only_good + only_bad, advantages)
    weighed = losses.sign_weighted(row(2.0, -3.0, 0.0), positive=0.5, negative=2.0)
    assert weighed.tolist() == [[1.0, -6.0, 0.0]]


def test_shares_and_weights_that_are_none_are_refused():
    one = row(0.0)
    with pytest.raises(ValueError, match=r"share is 1\.5; expected a share of the tokens"):
        losses.high_entropy_mask(one, ones(1), 1.5)
    with pytest.raises(ValueError, match=r"low 2\.0 is above high 1\.0"):
        losses.covariance_mask(one, one, ones(1), 0.1, one, 2.0, 1.0)
    with pytest.raises(ValueError, match="expected weights of at least 0"):
        losses.sign_weighted(one, positive=-1.0)
