"""Beta-normalised advantages: the two estimators inside, then numbers by hand and failed fits."""

import math

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.beta import beta_normalised, beta_shape
from algorithms.credit.groups import group_relative

SEEDS = range(20)


def random_groups(seed: int) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng((seed, 41))
    groups = [f"task {pick}" for pick in generator.integers(0, 5, size=30)]
    return generator.integers(0, 2, size=30).astype(float), groups


def members_of(groups: list[str]) -> list[list[int]]:
    return [[e for e, name in enumerate(groups) if name == group] for group in set(groups)]


@pytest.mark.parametrize("seed", SEEDS)
def test_shape_one_one_is_reinforce_with_the_groups_mean(seed: int):
    returns, groups = random_groups(seed)
    found = beta_normalised(returns, groups, shape=(1.0, 1.0))
    assert found == approx(group_relative(returns, groups, "none"))


@pytest.mark.parametrize("seed", SEEDS)
def test_shape_three_halves_divides_by_the_deviation_of_a_coin(seed: int):
    returns, groups = random_groups(seed)
    found = beta_normalised(returns, groups, shape=(1.5, 1.5))
    for members in members_of(groups):
        rate = returns[members].mean()
        if 0.0 < rate < 1.0:
            expected = (returns[members] - rate) / (math.sqrt(rate * (1 - rate)) * 8 / math.pi)
            assert found[members] == approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_advantages_of_a_group_sum_to_zero_and_favour_success(seed: int):
    returns, groups = random_groups(seed)
    found = beta_normalised(returns, groups)
    for members in members_of(groups):
        assert found[members].sum() == approx(0.0, abs=1e-9)
        if 0.0 < returns[members].mean() < 1.0:
            assert found[members][returns[members] == 1.0].min() > 0.0
            assert found[members][returns[members] == 0.0].max() < 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_episodes_does_not_matter(seed: int):
    returns, groups = random_groups(seed)
    order = np.random.default_rng((seed, 42)).permutation(30)
    shuffled = beta_normalised(returns[order], [groups[index] for index in order])
    assert shuffled == approx(beta_normalised(returns, groups)[order])


@pytest.mark.parametrize("seed", SEEDS)
def test_failures_count_like_successes_seen_from_the_other_side(seed: int):
    returns, groups = random_groups(seed)
    assert beta_normalised(1 - returns, groups) == approx(-beta_normalised(returns, groups))
    assert beta_shape(1 - returns, groups) == approx(beta_shape(returns, groups)[::-1])


def test_the_fit_has_the_mean_and_the_variance_of_the_rates():
    returns = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    rates = np.array([0.25, 0.5, 0.75])
    alpha, beta = beta_shape(returns, "aaaabbbbcccc")
    a, b = 3 * (alpha - 1), 3 * (beta - 1)
    assert a / (a + b) == approx(rates.mean())
    assert a * b / ((a + b) ** 2 * (a + b + 1)) == approx(rates.var(ddof=1))


def test_two_groups_by_hand():
    # rates 1/4 and 3/4: mean 1/2, variance 1/8, so a = b = 1/2 * (1/4 / (1/8) - 1) = 1/2
    returns, shape = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0], (7 / 6, 7 / 6)
    assert beta_shape(returns, "aaaabbbb") == approx(shape)
    density = math.gamma(7 / 3) / math.gamma(7 / 6) ** 2 * (3 / 16) ** (1 / 6)
    found = beta_normalised(returns, "aaaabbbb")
    assert found[:4] == approx(np.array([3, -1, -1, -1]) / 4 / density)
    assert found[4:] == approx(np.array([1, 1, 1, -3]) / 4 / density)
    # a density known without the gamma function: f(p; 2, 1) = 2 p
    skewed = beta_normalised([1.0, 0.0, 0.0, 0.0], "aaaa", shape=(2.0, 1.0))
    assert skewed == approx(np.array([3, -1, -1, -1]) / 4 / 0.5)


def test_equal_groups_and_groups_of_one_give_exactly_zero():
    returns = [0.0, 0.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.5, 1.0]
    assert not beta_normalised(returns, "aabbcccde").any()
    assert beta_normalised([], []).shape == (0,)


def test_where_nothing_can_be_fitted_nothing_is_normalised():
    assert beta_shape([1.0, 0.0, 1.0], "aaa") == (1.0, 1.0)  # one group
    assert beta_shape([1.0, 0.0, 0.0, 1.0], "aabb") == (1.0, 1.0)  # equal rates
    assert beta_shape([1.0, 1.0, 0.0, 0.0], "aabb") == (1.0, 1.0)  # as far apart as can be
    assert beta_shape([1.0, 0.0, 1.0, 0.0], "aabc") == (1.0, 1.0)  # b and c are alone
    assert beta_shape([], []) == (1.0, 1.0)


def test_a_group_that_the_fit_thinks_impossible_is_bounded():
    groups = [f"task {episode // 10}" for episode in range(4000)]
    returns = np.array([1.0, 0.0] * 2000)
    returns[:9], returns[9] = 1.0, 0.0  # 399 rates of 1/2 and one of 9/10
    found = beta_normalised(returns, groups, largest_weight=10.0)
    assert found[9] == approx(-0.9 * 10.0)
    assert np.isfinite(beta_normalised(returns, groups)).all()


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"returns_E\[1\] is 2.0; a success rate needs returns"):
        beta_normalised([1.0, 2.0], "aa")
    with pytest.raises(ValueError, match="1 group names for 2 episodes"):
        beta_normalised([1.0, 0.0], "a")
    with pytest.raises(ValueError, match=r"shape is \(0.0, 1.0\)"):
        beta_normalised([1.0], "a", shape=(0.0, 1.0))
    for shape, largest in ((math.inf, 1.0), 1e6), ((1.0, math.nan), 1e6), (None, math.nan):
        with pytest.raises(ValueError, match="expected numbers above 0, and a finite shape"):
            beta_normalised([1.0, 0.0], "aa", shape, largest)
