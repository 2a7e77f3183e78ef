"""Which episodes are compared: by hand, and that drawn pairs are what they say."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from algorithms.preferences.pairs import (
    Pair,
    PairSampler,
    action_pairs,
    check_same_tasks,
    pair_up,
    sibling_pairs,
    task_of,
)
from lmenvs.types import Action, Episode, Turn

RETURNS = [1.0, 0.0, 2.0, 0.0, 5.0, 5.0]
TASKS = ["a", "a", "a", "a", "b", "b"]


def named(pairs: list[Pair]) -> list[tuple[int, int, float]]:
    return [(pair.chosen, pair.rejected, pair.margin) for pair in pairs]


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("extremes", [(2, 1, 2.0)]),
        ("best", [(2, 0, 1.0), (2, 1, 2.0), (2, 3, 2.0)]),
        ("all", [(0, 1, 1.0), (0, 3, 1.0), (2, 0, 1.0), (2, 1, 2.0), (2, 3, 2.0)]),
    ],
)
def test_pairs_by_hand_stay_within_a_task(how: Any, wanted: list[tuple[int, int, float]]):
    assert named(pair_up(RETURNS, TASKS, how)) == wanted


def test_returns_must_differ_by_more_than_the_margin():
    assert named(pair_up(RETURNS, TASKS, "best", margin=1.0)) == [(2, 1, 2.0), (2, 3, 2.0)]
    assert pair_up(RETURNS, TASKS, "best", margin=2.0) == []


def fork(said: str, reward: float, parent: tuple[str, int] = ("p", 1)) -> Episode:
    turns = tuple(Turn("o", Action(letter), 0.0) for letter in said)
    turns = (*turns[:-1], replace(turns[-1], reward=reward))
    return Episode(
        said, "e", 0, "all", "i", turns, "", True, False, False, group="g", parent=parent
    )


def test_siblings_are_trained_from_their_fork_on():
    forks = [fork("ab", 0.0), fork("ac", 1.0), fork("ab", 3.0, ("p", 0)), fork("cd", 2.0, ("p", 0))]
    assert sibling_pairs(forks) == [Pair(1, 0, 1.0, 1), Pair(2, 3, 1.0, 0)]


def test_an_action_is_worth_the_mean_of_its_ways_on():
    forks = [fork("abx", 4.0), fork("acx", 1.0), fork("aby", 0.0), fork("ad", 1.5)]
    assert action_pairs(forks) == [Pair(0, 1, 1.0, 1, 1)]
    assert action_pairs(forks, "all") == [
        *(Pair(0, 1, 1.0, 1, 1), Pair(0, 3, 0.5, 1, 1), Pair(3, 1, 0.5, 1, 1))
    ]
    assert action_pairs(forks, margin=1.0) == []


def test_equal_actions_are_compared_only_where_what_follows_is_trained():
    forks = [fork("abx", 0.0), fork("aby", 1.0)]
    assert action_pairs(forks) == []
    assert sibling_pairs(forks) == [Pair(1, 0, 1.0, 1, None)]


def of(**fields: Any) -> Episode:
    given = {"env": "lmenvs/Maze-v0?layout=u", "seed": 4, "split": "train", **fields}
    return replace(fork("a", 0.0, ("p", 0)), **given)


def test_a_task_is_an_environment_a_split_and_a_seed():
    assert task_of(of()) == task_of(of(id="other", noise=3))
    assert task_of(of()) == task_of(of(env="lmenvs/Maze-v0?layout=u&split=train"))
    for other in ({"seed": 1}, {"split": "test"}, {"env": "lmenvs/Maze-v0"}):
        assert task_of(of()) != task_of(of(**other))


def test_demonstrations_of_other_tasks_are_refused():
    check_same_tasks([of(), of(seed=5)], [of(seed=5, noise=1)])
    with pytest.raises(ValueError, match="split train: expected tasks of .* split test"):
        check_same_tasks([of()], [of(split="test")])


def test_drawn_pairs_are_of_one_task_and_differ_by_more_than_the_margin():
    sampler = PairSampler(RETURNS, TASKS, margin=1.0)
    drawn = sampler.draw(np.random.default_rng(0), 50)
    assert {(pair.chosen, pair.rejected) for pair in drawn} == {(2, 1), (2, 3)}
    assert all(pair.margin == 2.0 for pair in drawn)


def test_each_partner_of_an_episode_is_drawn_alike():
    drawn = PairSampler(RETURNS, TASKS).draw(np.random.default_rng(0), 6000)
    # first 0 or 2: one of three; first 1 or 3: one of two
    wanted = {(2, 0): 2 / 3, (0, 1): 5 / 6, (0, 3): 5 / 6, (2, 1): 5 / 6, (2, 3): 5 / 6}
    found = Counter((pair.chosen, pair.rejected) for pair in drawn)
    assert found.keys() == wanted.keys()
    for pair, weight in wanted.items():
        assert found[pair] / 6000 == pytest.approx(weight / 4, abs=0.025)


def test_without_a_margin_any_two_of_a_task_are_paired():
    drawn = PairSampler(RETURNS, TASKS, margin=None).draw(np.random.default_rng(0), 300)
    assert {frozenset((pair.chosen, pair.rejected)) for pair in drawn} == {
        *(frozenset(two) for two in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (4, 5)])
    }
    assert all(pair.chosen != pair.rejected and pair.margin >= 0 for pair in drawn)


def test_nothing_to_compare_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="across_tasks"):
        PairSampler([1.0, 2.0], ["a", "b"])
    with pytest.raises(ValueError, match="differ by more than 1"):
        PairSampler([1.0, 2.0], ["a", "a"], margin=1.0)
