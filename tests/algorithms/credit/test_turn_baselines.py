"""Turns against the same turn of the others: identities, then numbers by hand.

That one is unbiased and the other is not is proved in
tests/identities/test_turn_index_normalisation_punishes_going_on.py.
"""

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.groups import Scale, group_relative, leave_one_out
from algorithms.credit.returns import discounted_returns
from algorithms.credit.turn_baselines import turn_index_normalised, turn_leave_one_out

SEEDS = range(20)


def random_batch(seed: int) -> tuple[list[list[float]], list[str]]:
    generator = np.random.default_rng((seed, 31))
    rewards = [generator.normal(size=length).tolist() for length in generator.integers(1, 6, 9)]
    return rewards, [f"task {pick}" for pick in generator.integers(0, 3, size=9)]


@pytest.mark.parametrize("discount", [1.0, 0.8])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_turn_index_is_leave_one_out_with_zeros_for_the_ended(seed: int, discount: float):
    rewards, groups = random_batch(seed)
    padded = np.zeros((9, 5))
    for row, rewards_T in zip(padded, rewards, strict=True):
        row[: len(rewards_T)] = discounted_returns(rewards_T, discount)
    columns = np.array([leave_one_out(column, groups) for column in padded.T])
    found = turn_leave_one_out(rewards, groups, discount)
    for episode, advantages_T in enumerate(found):
        assert advantages_T == approx(columns[: len(rewards[episode]), episode])


@pytest.mark.parametrize("seed", SEEDS)
def test_episodes_of_one_turn_are_the_plain_group_comparison(seed: int):
    _, groups = random_batch(seed)
    returns = np.random.default_rng((seed, 32)).normal(size=9)
    one_turn = returns[:, None]
    alone = np.concatenate(turn_leave_one_out(list(one_turn), groups))
    assert alone == approx(leave_one_out(returns, groups))
    scales: tuple[Scale, Scale] = ("std", "none")
    for scale in scales:
        normalised = np.concatenate(turn_index_normalised(list(one_turn), groups, scale))
        assert normalised == approx(group_relative(returns, groups, scale))


@pytest.mark.parametrize("seed", SEEDS)
def test_episodes_of_one_length_sum_to_zero_at_every_turn_and_ignore_a_constant(seed: int):
    _, groups = random_batch(seed)
    rewards = np.random.default_rng((seed, 33)).normal(size=(9, 4))
    for credit in (turn_leave_one_out, turn_index_normalised):
        found = np.array(credit(list(rewards), groups))
        assert np.array(credit(list(rewards + 3.0), groups)) == approx(found)
        for group in set(groups):
            members = [episode for episode, name in enumerate(groups) if name == group]
            assert found[members].sum(axis=0) == approx(np.zeros(4), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_episodes_does_not_matter(seed: int):
    rewards, groups = random_batch(seed)
    order = np.random.default_rng((seed, 34)).permutation(9).tolist()
    for credit in (turn_leave_one_out, turn_index_normalised):
        before = credit(rewards, groups)
        shuffled = credit([rewards[e] for e in order], [groups[e] for e in order])
        for episode, advantages_T in zip(order, shuffled, strict=True):
            assert advantages_T == approx(before[episode])


def test_equal_episodes_and_groups_of_one_give_exactly_zero():
    rewards = [[0.1, 0.2, 0.1], [0.1, 0.2, 0.1], [0.1, 0.2, 0.1], [0.7, 0.3]]
    for credit in (turn_leave_one_out, turn_index_normalised):
        assert not np.concatenate(credit(rewards, "aaab")).any()


def test_longer_episodes_that_earn_nothing_more_agree_with_those_that_ended():
    assert [a.tolist() for a in turn_leave_one_out([[1.0, 0.0], [1.0]], "gg")] == [[0, 0], [0]]


def test_three_episodes_by_hand():
    # returns to go: (3, 2), (1), (2, 2); others' means at turn 0: 1.5, 2.5, 2; at turn 1: 1 and 1
    first, second, third = turn_leave_one_out([[1.0, 2.0], [1.0], [0.0, 2.0]], "ggg")
    assert first.tolist() == [1.5, 1.0]
    assert second.tolist() == [-1.5]
    assert third.tolist() == [0.0, 1.0]
    # means of the turns' rewards: 2/3 of three and 2 of the two that still play
    found = turn_index_normalised([[1.0, 2.0], [1.0], [0.0, 2.0]], "ggg", scale="none")
    assert found[0] == approx([1 / 3, 0.0])
    assert found[1] == approx([1 / 3])
    assert found[2] == approx([-2 / 3, 0.0])
    # sample standard deviation of 1, 1, 0 is 1 / sqrt(3)
    found = turn_index_normalised([[1.0, 2.0], [1.0], [0.0, 2.0]], "ggg")
    assert found[2] == approx([-2 / 3 / (1 / 3**0.5 + 1e-6), 0.0])


def test_a_turn_without_reward_keeps_its_place():
    first, second = turn_leave_one_out([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], "gg")
    assert (first.tolist(), second.tolist()) == ([1.0, 1.0, 1.0], [-1.0, -1.0, -1.0])


def test_wrong_arguments_are_refused_in_one_line():
    for credit in (turn_leave_one_out, turn_index_normalised):
        with pytest.raises(ValueError, match="1 group names for 2 episodes; give one for each"):
            credit([[1.0], [2.0]], "g")
        with pytest.raises(ValueError, match="episode 1 has 0 turns; expected at least 1"):
            credit([[1.0], []], "gg")
        with pytest.raises(ValueError, match=r"rewards_ET\[1\] has shape \(1, 1\)"):
            credit([[1.0], np.ones((1, 1))], "gg")
        assert credit([], []) == []
    with pytest.raises(ValueError, match="discount is -1"):
        turn_leave_one_out([[1.0]], "g", discount=-1)
