"""Sibling credit: the variance that sharing a prefix saves, and prefixes that earn nothing."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.groups import group_relative, leave_one_out
from algorithms.credit.siblings import pivotal, shared_prefix_turns, sibling_relative

STEPS, SAMPLES = 3, 2


def variance(odds: Sequence[float], judged: Callable[[np.ndarray], np.ndarray]) -> float:
    """Of the first sample's advantage, over all outcomes of SAMPLES x len(odds) 0/1 rewards."""
    moments = np.zeros(2)
    shape = (SAMPLES, len(odds))
    for outcome in itertools.product((0.0, 1.0), repeat=SAMPLES * len(odds)):
        rewards = np.array(outcome).reshape(shape)
        chance = np.prod(np.where(rewards == 1.0, odds, 1.0 - np.asarray(odds)))
        advantage = judged(rewards)[0]
        moments += chance * np.array([advantage, advantage**2])
    return float(moments[1] - moments[0] ** 2)


def whole_episodes(rewards: np.ndarray) -> np.ndarray:
    return group_relative(rewards.sum(axis=1), ["task"] * SAMPLES, scale="none")


def next_steps(rewards: np.ndarray) -> np.ndarray:
    # the siblings differ in the last step only, so only that step's rewards are judged
    return sibling_relative(rewards[:, -1], ["prefix"] * SAMPLES, scale="none")


def test_with_equally_random_steps_the_variance_falls_by_the_number_of_steps():
    for p in (0.5, 0.2):
        full = variance([p] * STEPS, whole_episodes)
        truncated = variance([p] * STEPS, next_steps)
        assert full == approx(STEPS * truncated, rel=1e-12)
        assert truncated == approx(p * (1 - p) * (SAMPLES - 1) / SAMPLES, rel=1e-12)


def test_the_saving_lies_between_one_and_the_number_of_steps_of_equal_noise():
    # where the other steps are certain there is nothing to save
    assert variance([1.0, 0.0, 0.3], whole_episodes) == approx(
        variance([1.0, 0.0, 0.3], next_steps), rel=1e-12
    )
    full, truncated = (
        variance([0.9, 0.8, 0.5], estimate) for estimate in (whole_episodes, next_steps)
    )
    assert truncated < full < STEPS * truncated


@pytest.mark.parametrize("scale", ["std", "none"])
def test_siblings_are_compared_with_each_other_only(scale):
    generator = np.random.default_rng(38)
    rewards, prefixes = generator.normal(size=20), generator.integers(0, 5, size=20).tolist()
    shifted = rewards + np.array([0.0, 3.0, -2.0, 50.0, 1.0])[prefixes]
    expected = sibling_relative(rewards, prefixes, scale)
    assert sibling_relative(shifted, prefixes, scale) == approx(expected, abs=1e-9)


def test_two_siblings_by_hand():
    assert sibling_relative([3.0, 1.0, 9.0], "ppq", scale="none").tolist() == [1.0, -1.0, 0.0]
    scaled = 1.0 / (2.0**0.5 + 1e-6)
    assert sibling_relative([3.0, 1.0, 9.0], "ppq") == approx([scaled, -scaled, 0.0])


def test_a_retry_shares_its_turns_up_to_the_fork():
    paths = [["a", "b", "c"], ["a", "b", "d", "e"], ["x"], ["x", "y"], ["p", "q"]]
    groups = ["fork at 2", "fork at 2", "one goes on", "one goes on", "alone"]
    assert shared_prefix_turns(paths, groups).tolist() == [2, 2, 1, 1, 0]
    tokens = [np.array([5, 6]), np.array([5, 7])]
    assert shared_prefix_turns(tokens, ["g", "g"]).tolist() == [1, 1]
    assert shared_prefix_turns([["a"], ["b"]], ["g", "g"]).tolist() == [0, 0]


def test_shared_turns_earn_nothing_and_the_others_what_they_did():
    generator = np.random.default_rng(39)
    advantages = [generator.normal(size=turns) for turns in (3, 4, 1)]
    before = [row.copy() for row in advantages]
    kept = pivotal(advantages, [2, 0, 1])
    assert [row.tolist() for row in kept] == [
        [0.0, 0.0, advantages[0][2]],
        advantages[1].tolist(),
        [0.0],
    ]
    assert all((row == was).all() for row, was in zip(advantages, before, strict=True))


def test_after_a_given_prefix_the_expected_gradient_is_exact():
    # two binary turns after a prefix that is not sampled: pairs of retries, leave-one-out
    odds: dict[tuple[int, ...], float] = {(): 0.3, (0,): 0.6, (1,): 0.2}
    worth = {(0, 0): 1.0, (0, 1): -0.5, (1, 0): 0.25, (1, 1): 2.0}

    def chance(path: tuple[int, ...]) -> float:
        steps = [(odds[path[:t]], path[t]) for t in range(2)]
        return float(np.prod([p if step else 1 - p for p, step in steps]))

    found, prefix_credit = dict.fromkeys(odds, 0.0), 0.0
    for pair in itertools.product(worth, repeat=2):
        earned = leave_one_out([worth[path] for path in pair], ["g", "g"])
        credit = pivotal([[advantage] * 3 for advantage in earned], [1, 1])
        for path, turns in zip(pair, credit, strict=True):
            prefix_credit += abs(turns[0])
            for t in range(2):
                score = path[t] - odds[path[:t]]
                found[path[:t]] += chance(pair[0]) * chance(pair[1]) * turns[1 + t] * score / 2
    assert prefix_credit == 0.0
    value = [(1 - odds[way,]) * worth[way, 0] + odds[way,] * worth[way, 1] for way in (0, 1)]
    gap: dict[tuple[int, ...], float] = {(): value[1] - value[0], (0,): -1.5, (1,): 1.75}
    reach: dict[tuple[int, ...], float] = {(): 1.0, (0,): 1 - odds[()], (1,): odds[()]}
    for prefix, p in odds.items():
        assert found[prefix] == approx(reach[prefix] * p * (1 - p) * gap[prefix], abs=1e-12)


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match="1 prefixes for 2 rewards; give one each"):
        sibling_relative([1.0, 0.0], ["p"])
    with pytest.raises(ValueError, match="episode 1 shares 3 turns and has 2"):
        pivotal([[1.0], [1.0, 1.0]], [0, 3])
    with pytest.raises(ValueError, match="1 shared prefixes for 2 episodes; give one per episode"):
        pivotal([[1.0], [1.0]], [0])
    with pytest.raises(ValueError, match="episode 1 has 0 turns"):
        pivotal([[1.0], []], [0, 0])
    with pytest.raises(ValueError, match="1 group names for 2 paths; give one per episode"):
        shared_prefix_turns([["a"], ["b"]], ["g"])
