"""Group advantages: what must hold for every group, then numbers by hand."""

from typing import Literal

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.groups import (
    equal_groups,
    greedy_baseline,
    group_relative,
    identical_credit,
    leave_one_out,
    spread,
)

SEEDS = range(20)


def random_groups(seed: int) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng((seed, 12))
    groups = [f"task {pick}" for pick in generator.integers(0, 4, size=12)]
    return generator.normal(size=12), groups


def every_estimate(returns: np.ndarray, groups: list[str]) -> list[np.ndarray]:
    return [
        group_relative(returns, groups, scale="std"),
        group_relative(returns, groups, scale="none"),
        leave_one_out(returns, groups),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_advantages_of_a_group_sum_to_zero(seed: int):
    returns, groups = random_groups(seed)
    for advantages in every_estimate(returns, groups):
        for group in set(groups):
            members = [index for index, name in enumerate(groups) if name == group]
            assert advantages[members].sum() == approx(0.0, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_constant_added_to_all_returns_changes_nothing(seed: int):
    returns, groups = random_groups(seed)
    before = every_estimate(returns, groups)
    for shifted, plain in zip(every_estimate(returns + 17.0, groups), before, strict=True):
        assert shifted == approx(plain)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_episodes_does_not_matter(seed: int):
    returns, groups = random_groups(seed)
    order = np.random.default_rng((seed, 13)).permutation(len(returns))
    shuffled = every_estimate(returns[order], [groups[index] for index in order])
    for plain, other in zip(every_estimate(returns, groups), shuffled, strict=True):
        assert other == approx(plain[order])


@pytest.mark.parametrize("seed", SEEDS)
def test_leave_one_out_is_the_return_minus_the_mean_of_the_others(seed: int):
    returns, groups = random_groups(seed)
    advantages = leave_one_out(returns, groups)
    for index, name in enumerate(groups):
        others = [
            returns[other] for other, its in enumerate(groups) if its == name and other != index
        ]
        expected = returns[index] - np.mean(others) if others else 0.0
        assert advantages[index] == approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_groups_at_once_are_each_group_alone(seed: int):
    returns, groups = random_groups(seed)
    whole = every_estimate(returns, groups)
    for group in set(groups):
        members = [index for index, name in enumerate(groups) if name == group]
        alone = every_estimate(returns[members], [group] * len(members))
        for together, apart in zip(whole, alone, strict=True):
            assert together[members] == approx(apart)


def test_equal_and_single_returns_give_exactly_zero():
    returns = [0.1, 0.1, 0.1, 0.7]  # the mean of three 0.1 is not 0.1 in floating point
    groups = ["equal", "equal", "equal", "single"]
    for advantages in every_estimate(np.array(returns), groups):
        assert advantages.tolist() == [0.0, 0.0, 0.0, 0.0]


def test_group_relative_divides_by_the_sample_standard_deviation():
    # mean 2, squared deviations 1 + 0 + 1, sample variance 2 / (3 - 1) = 1
    advantages = group_relative([1.0, 2.0, 3.0], ["a", "a", "a"])
    assert advantages == approx([-1 / (1 + 1e-6), 0.0, 1 / (1 + 1e-6)], rel=1e-12)
    assert group_relative([1.0, 2.0, 3.0], "aaa", scale="none").tolist() == [-1.0, 0.0, 1.0]
    assert leave_one_out([1.0, 2.0, 3.0], "aaa").tolist() == [-1.5, 0.0, 1.5]


def test_groups_may_have_any_hashable_name_and_none_at_all():
    assert leave_one_out([1.0, 0.0], [(1, "x"), (1, "x")]).tolist() == [1.0, -1.0]
    assert leave_one_out([], []).shape == (0,)
    assert group_relative([], []).shape == (0,)


def test_the_arguments_are_not_written_to():
    returns = np.array([1.0, 2.0, 3.0])
    every_estimate(returns, ["a", "a", "b"])
    credit = identical_credit(returns, [2, 1, 1])
    credit[0][0] = 9.0
    assert returns.tolist() == [1.0, 2.0, 3.0]


def test_the_greedy_play_is_subtracted_episode_by_episode():
    assert greedy_baseline([3.0, 1.0, -1.0], [1.0, 1.0, 2.0]).tolist() == [2.0, 0.0, -3.0]
    # the same for every episode: a constant added to both changes nothing
    assert greedy_baseline([4.0, 2.0], [2.0, 2.0]) == approx(
        greedy_baseline([3.0, 1.0], [1.0, 1.0])
    )


def test_identical_credit_gives_every_turn_the_return_of_its_episode():
    credit = identical_credit([0.5, -1.0, 0.0], [3, 1, 2])
    assert [turns.tolist() for turns in credit] == [[0.5, 0.5, 0.5], [-1.0], [0.0, 0.0]]
    assert identical_credit([], []) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_spreading_keeps_the_order_and_the_number_of_turns(seed: int):
    advantages, turns = np.arange(6.0), np.random.default_rng(seed).integers(1, 5, size=6)
    spread_ET = spread(advantages, turns.tolist())
    assert [len(turns_T) for turns_T in spread_ET] == turns.tolist()
    assert [set(turns_T) for turns_T in spread_ET] == [{value} for value in advantages]


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_groups_are_those_whose_advantages_are_all_zero(seed: int):
    _, groups = random_groups(seed)
    returns = np.random.default_rng((seed, 14)).integers(0, 2, size=12) * 0.1
    mask = equal_groups(returns, groups)
    advantages = group_relative(returns, groups)
    for group in set(groups):
        members = [index for index, name in enumerate(groups) if name == group]
        zero = not advantages[members].any()
        assert mask[members].tolist() == [zero] * len(members)


def test_an_episode_without_turns_is_refused_by_its_index():
    with pytest.raises(ValueError, match="episode 1 has 0 turns; expected at least 1"):
        identical_credit([1.0, 2.0], [1, 0])
    with pytest.raises(ValueError, match="episode 0 has 1.5 turns"):
        spread([1.0], [1.5])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="1 numbers of turns for 2 episodes"):
        spread([1.0, 2.0], [1])
    with pytest.raises(ValueError, match="1 greedy returns for 2 returns; give one per episode"):
        greedy_baseline([1.0, 2.0], [1.0])


def test_wrong_arguments_are_refused_in_one_line():
    wrong: Literal["std", "none"] = "variance"  # pyright: ignore[reportAssignmentType]
    with pytest.raises(ValueError, match="1 group names for 2 episodes; give one for each"):
        leave_one_out([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="scale is 'variance'; expected 'std' or 'none'"):
        group_relative([1.0], ["a"], scale=wrong)
    with pytest.raises(ValueError, match=r"returns_E\[0\] is nan"):
        group_relative([float("nan")], ["a"])
