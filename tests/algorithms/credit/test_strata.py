"""Stratified credit: what holds in every stratum, its two ends, and the bias it is known for."""

import itertools

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.groups import group_relative
from algorithms.credit.strata import stratified

SEEDS = range(10)


def random_episodes(seed: int) -> tuple[np.ndarray, list[str], list[int]]:
    generator = np.random.default_rng((seed, 31))
    groups = [f"task {pick}" for pick in generator.integers(0, 3, size=30)]
    return generator.normal(size=30), groups, generator.integers(0, 3, size=30).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stratum_has_mean_zero_and_unit_sample_variance(seed: int):
    returns, groups, strata = random_episodes(seed)
    advantages = stratified(returns, groups, strata)
    for group, stratum in set(zip(groups, strata, strict=True)):
        inside = [
            advantages[episode]
            for episode in range(len(returns))
            if (groups[episode], strata[episode]) == (group, stratum)
        ]
        assert np.mean(inside) == approx(0.0, abs=1e-9)
        if len(inside) > 1:
            # the 1e-6 in the division is what keeps it from being exactly 1
            assert np.var(inside, ddof=1) == approx(1.0, rel=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_stratum_is_the_group_relative_advantage(seed: int):
    returns, groups, _ = random_episodes(seed)
    expected = group_relative(returns, groups, scale="std")
    for blend in (0.0, 0.3, 1.0):
        assert stratified(returns, groups, ["all"] * 30, blend) == approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_blend_of_zero_ignores_the_strata(seed: int):
    returns, groups, strata = random_episodes(seed)
    expected = group_relative(returns, groups, scale="std")
    assert stratified(returns, groups, strata, blend=0.0) == approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_blend_is_linear(seed: int):
    returns, groups, strata = random_episodes(seed)
    ends = [stratified(returns, groups, strata, blend) for blend in (0.0, 1.0)]
    assert stratified(returns, groups, strata, 0.25) == approx(0.75 * ends[0] + 0.25 * ends[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_constant_added_to_a_stratum_changes_nothing_within_it(seed: int):
    returns, groups, strata = random_episodes(seed)
    shifted = returns + np.array([10.0, -4.0, 0.0])[strata]
    assert stratified(shifted, groups, strata) == approx(stratified(returns, groups, strata))


def test_a_stratum_of_one_is_judged_by_the_group_alone():
    advantages = stratified([1.0, 3.0, 5.0], ["a"] * 3, ["x", "x", "y"], blend=0.5)
    # within x: -+1 over a deviation of sqrt(2); in the group: -2, 0, 2 over a deviation of 2
    assert advantages == approx([-(0.5**1.5) - 0.5, 0.5**1.5, 0.5], rel=1e-5)


def test_choosing_the_better_stratum_earns_nothing():
    # one choice between two actions that are their own strata, worth 1 and 0: the group's signal
    # points to the better one, the strata's is empty
    gain = {0.0: 0.0, 1.0: 0.0}
    for blend in gain:
        for actions in itertools.product((0, 1), repeat=3):
            returns = [float(action) for action in actions]
            advantages = stratified(returns, ["a"] * 3, actions, blend)
            gain[blend] += sum(
                advantage * (action - 0.5)  # d log p(action) / d logit at even odds
                for advantage, action in zip(advantages, actions, strict=True)
            )
    assert gain[0.0] > 1.0
    assert gain[1.0] == 0.0


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match="1 strata for 2 episodes; give one for each"):
        stratified([1.0, 2.0], ["a", "a"], ["x"])
    with pytest.raises(ValueError, match="1 group names for 2 episodes"):
        stratified([1.0, 2.0], ["a"], ["x", "x"])
    with pytest.raises(ValueError, match=r"blend is 1\.5; expected a number from 0"):
        stratified([1.0], ["a"], ["x"], blend=1.5)
