"""Group-in-group credit: what it becomes when a part is missing, then numbers by hand."""

from typing import Literal

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.anchors import group_in_group
from algorithms.credit.groups import Scale, group_relative, spread
from algorithms.credit.returns import discounted_returns

SEEDS = range(20)
Batch = tuple[list[list[float]], list[list[str]], list[str]]


def random_batch(seed: int) -> Batch:
    generator = np.random.default_rng((seed, 21))
    turns = generator.integers(1, 6, size=9).tolist()
    rewards = [(generator.integers(0, 3, size=length) / 2).tolist() for length in turns]
    keys = [[f"room {k}" for k in generator.integers(0, 4, size=length)] for length in turns]
    return rewards, keys, [f"task {pick}" for pick in generator.integers(0, 3, size=9)]


def plain(
    rewards: list[list[float]], keys: list[list[str]], groups: list[str]
) -> list[list[float]]:
    """The definition in loops, with the standard deviation, at discount 0.9 and weight 0.5."""

    def against(value: float, others: list[float]) -> float:
        return (value - float(np.mean(others))) / (float(np.std(others, ddof=1)) + 1e-6)

    returns = [discounted_returns(row, 0.9) for row in rewards]
    result: list[list[float]] = []
    for episode, row in enumerate(rewards):
        group = [other for other, name in enumerate(groups) if name == groups[episode]]
        sums = [sum(rewards[other]) for other in group]
        whole = against(sum(row), sums) if len(set(sums)) > 1 else 0.0
        result.append([])
        for turn, key in enumerate(keys[episode]):
            anchor = [
                float(returns[other][at])
                for other in group
                for at, found in enumerate(keys[other])
                if found == key
            ]
            own = against(float(returns[episode][turn]), anchor) if len(set(anchor)) > 1 else 0.0
            result[-1].append(whole + 0.5 * own)
    return result


@pytest.mark.parametrize("seed", SEEDS)
def test_all_at_once_is_the_definition_in_loops(seed: int):
    rewards, keys, groups = random_batch(seed)
    found = group_in_group(rewards, keys, groups, 0.9, weight=0.5)
    for advantages_T, expected_T in zip(found, plain(rewards, keys, groups), strict=True):
        assert advantages_T == approx(expected_T)


@pytest.mark.parametrize("scale", ["std", "none"])
@pytest.mark.parametrize("seed", SEEDS)
def test_without_shared_states_or_weight_it_is_the_group_comparison(seed: int, scale: Scale):
    rewards, keys, groups = random_batch(seed)
    expected = group_relative([sum(row) for row in rewards], groups, scale)
    expected_ET = spread(expected, [len(row) for row in rewards])
    apart = [[f"{e} {t}" for t in range(len(row))] for e, row in enumerate(rewards)]
    for found in (
        group_in_group(rewards, apart, groups, 0.9, scale=scale),
        group_in_group(rewards, keys, groups, 0.9, weight=0.0, scale=scale),
    ):
        for advantages_T, expected_T in zip(found, expected_ET, strict=True):
            assert advantages_T == approx(expected_T)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_advantages_of_an_anchor_sum_to_zero(seed: int):
    rewards, keys, groups = random_batch(seed)
    with_anchors = group_in_group(rewards, keys, groups, 0.9, scale="none")
    without = group_in_group(rewards, keys, groups, 0.9, weight=0.0, scale="none")
    sums: dict[tuple[str, str], float] = {}
    for episode, group in enumerate(groups):
        own_T = with_anchors[episode] - without[episode]
        for key, own in zip(keys[episode], own_T, strict=True):
            sums[group, key] = sums.get((group, key), 0.0) + own
    assert list(sums.values()) == approx([0.0] * len(sums), abs=1e-9)


@pytest.mark.parametrize("count", ["episode", "turn"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_episodes_does_not_matter(seed: int, count: Literal["episode", "turn"]):
    rewards, keys, groups = random_batch(seed)
    before = group_in_group(rewards, keys, groups, 0.9, count=count)
    order = np.random.default_rng((seed, 22)).permutation(len(rewards)).tolist()
    shuffled = group_in_group(
        [rewards[e] for e in order],
        [keys[e] for e in order],
        [groups[e] for e in order],
        0.9,
        count=count,
    )
    for episode, advantages_T in zip(order, shuffled, strict=True):
        assert advantages_T == approx(before[episode])


@pytest.mark.parametrize("seed", SEEDS)
def test_counting_turns_is_the_comparison_of_one_row_per_turn(seed: int):
    rewards, keys, groups = random_batch(seed)
    found = group_in_group(rewards, keys, groups, 0.9, weight=0.0, count="turn")
    rows = [sum(row) for row in rewards for _ in row]
    names = [name for name, row in zip(groups, rewards, strict=True) for _ in row]
    assert np.concatenate(found) == approx(group_relative(rows, names))


def test_counting_turns_and_episodes_agree_where_all_are_equally_long():
    rewards, keys = [[1.0, 0.0], [0.0, 0.5], [0.0, 0.0]], [["s", "a"], ["s", "b"], ["s", "a"]]
    by_turn, by_episode = (
        group_in_group(rewards, keys, "ggg", 0.9, scale="none", count=count)
        for count in ("turn", "episode")
    )
    assert np.concatenate(by_turn) == approx(np.concatenate(by_episode))


def test_anchors_do_not_reach_into_other_groups():
    rewards, keys = [[1.0, 0.0], [5.0, 5.0]], [["s", "s2"], ["s", "s2"]]
    assert not np.concatenate(group_in_group(rewards, keys, ["a", "b"], 0.9)).any()


def test_a_lone_episode_is_judged_only_against_its_own_visits_of_a_state():
    # returns to go 1, 1, 0; "hall" has 1 and 0, and "attic" is an anchor of one
    (alone,) = group_in_group(
        [[0.0, 1.0, 0.0]], [["hall", "attic", "hall"]], "g", 1.0, scale="none"
    )
    assert alone.tolist() == [0.5, 0.0, -0.5]
    assert not group_in_group([[0.0, 1.0, 0.0]], ["abc"], "g", 1.0)[0].any()


def test_two_episodes_that_meet_by_hand():
    # sums 1 and 0, mean 1/2. Returns to go at discount 1/2: (1/2, 1) and (0, 0, 0).
    # "start" has returns 1/2, 0 and, from a second visit, 0: mean 1/6. "key" 1 and 0: mean 1/2.
    first, second = group_in_group(
        [[0.0, 1.0], [0.0, 0.0, 0.0]],
        [["start", "key"], ["start", "key", "start"]],
        ["task", "task"],
        discount=0.5,
        scale="none",
    )
    assert first == approx([1 / 2 + 1 / 3, 1 / 2 + 1 / 2])
    assert second == approx([-1 / 2 - 1 / 6, -1 / 2 - 1 / 2, -1 / 2 - 1 / 6])
    weighted = group_in_group(
        [[1.0], [0.0, 0.0, 0.0]], ["a", "bcd"], "gg", 1.0, 0.0, "none", "turn"
    )
    assert weighted[0] == approx([3 / 4])
    assert weighted[1] == approx([-1 / 4] * 3)


def test_a_turn_without_reward_keeps_its_place():
    with_zero = group_in_group([[0.0, 1.0], [0.0, 0.0]], ["xs", "ys"], "gg", 1.0, scale="none")
    without = group_in_group([[1.0], [0.0]], ["s", "s"], "gg", 1.0, scale="none")
    assert [row[1:].tolist() for row in with_zero] == [row.tolist() for row in without]
    assert [len(row) for row in with_zero] == [2, 2]


def test_similar_states_are_one_anchor_and_equal_ones_still_are():
    rewards = [[1.0], [0.0], [0.0]]
    keys = [["you see a red key"], ["you see a red kex"], ["a dark cellar"]]
    exact = group_in_group(rewards, keys, "ggg", 1.0, scale="none")
    similar = group_in_group(rewards, keys, "ggg", 1.0, scale="none", similarity=0.9)
    assert exact[0] == approx([2 / 3])
    assert similar[0] == approx([2 / 3 + 1 / 2])
    assert similar[1] == approx([-1 / 3 - 1 / 2])
    assert similar[2] == approx([-1 / 3])


@pytest.mark.parametrize("seed", SEEDS)
def test_full_similarity_is_equality(seed: int):
    rewards, keys, groups = random_batch(seed)
    exact = group_in_group(rewards, keys, groups, 0.9)
    similar = group_in_group(rewards, keys, groups, 0.9, similarity=1.0)
    assert np.concatenate(similar) == approx(np.concatenate(exact))


def test_long_states_that_differ_in_their_beginning_are_similar():
    # the frequent characters of long strings are not ignored
    room = "the old kitchen has a table, a chair and an oven. " * 8
    keys = [["day 1. " + room], ["evening 2. " + room]]
    found = group_in_group([[1.0], [0.0]], keys, "gg", 1.0, scale="none", similarity=0.9)
    assert np.concatenate(found).tolist() == [1.0, -1.0]


def test_wrong_arguments_name_the_episode_and_both_sizes():
    with pytest.raises(ValueError, match="episode 1: 1 state keys for 2 rewards; give one per"):
        group_in_group([[1.0], [1.0, 2.0]], ["a", "b"], "gg", 1.0)
    with pytest.raises(ValueError, match="state keys of 1 episodes for rewards of 2"):
        group_in_group([[1.0], [1.0]], ["a"], "gg", 1.0)
    with pytest.raises(ValueError, match="3 group names for 2 episodes"):
        group_in_group([[1.0], [1.0]], ["a", "b"], "ggg", 1.0)
    with pytest.raises(ValueError, match="episode 1 has 0 turns"):
        group_in_group([[1.0], []], ["a", ""], "gg", 1.0)
    with pytest.raises(ValueError, match=r"rewards_ET\[1\]\[1\] is inf; expected .*, leave out"):
        group_in_group([[1.0], [0.0, float("inf")]], ["a", "ab"], "gg", 1.0)
    with pytest.raises(ValueError, match="discount is 2.0"):
        group_in_group([[1.0]], ["a"], "g", 2.0)
    with pytest.raises(ValueError, match="state key 3 is no string"):
        group_in_group([[1.0]], [[3]], "g", 1.0, similarity=0.9)
    assert group_in_group([], [], [], 1.0) == []
