"""Group advantages: what must hold for every group, then numbers by hand."""

from typing import Literal

import numpy as np
import pytest
from pytest import approx

from algorithms.credit import group_relative, leave_one_out

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


def test_wrong_arguments_are_refused_in_one_line():
    wrong: Literal["std", "none"] = "variance"  # pyright: ignore[reportAssignmentType]
    with pytest.raises(ValueError, match="1 group names for 2 returns; give one per episode"):
        leave_one_out([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="scale is 'variance'; expected 'std' or 'none'"):
        group_relative([1.0], ["a"], scale=wrong)
    with pytest.raises(ValueError, match=r"returns_E\[0\] is nan"):
        group_relative([float("nan")], ["a"])
