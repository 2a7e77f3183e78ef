"""Rewards normalised at each turn among those still playing, then summed: the bias, exactly.

StopOrContinue, where continuing is better under every policy. What is subtracted has a term for
every turn that the play takes, so it depends on the action: the future of an action that continues
is worth 0 on average, whatever it earns. All plays and all groups of three are enumerated.
"""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from algorithms.credit import discounted_returns
from algorithms.credit.turn_baselines import turn_index_normalised, turn_leave_one_out
from lmenvs import make
from lmenvs.exact import Solution, solve

TURNS = 4
ENV = f"lmenvs/StopOrContinue-v0?turns={TURNS}"
POLICIES = ((0.5,) * TURNS, (0.9, 0.8, 0.9, 0.7), (0.1, 0.2, 0.1, 0.3), (0.95, 0.1, 0.6, 0.05))
GAP = 0.25  # what stopping pays more than continuing, at once


def rewards_of(stops_at: int) -> list[float]:
    env = make(ENV)
    env.reset(seed=0)
    actions = ["continue"] * stops_at + ["stop"] * (stops_at < TURNS)
    return [env.step(action)[1] for action in actions]


PLAYS = [rewards_of(turn) for turn in range(TURNS + 1)]  # the last one never stops
Credit = Callable[[list[list[float]]], list[np.ndarray]]


def chances(policy: tuple[float, ...]) -> np.ndarray:
    reached = np.cumprod((1.0, *policy))
    return reached * np.array([*(1 - chance for chance in policy), 1.0])


def slopes_of(play: int, policy: tuple[float, ...]) -> np.ndarray:
    """The gradient of the log-probability of each turn's action, in that turn's logit."""
    return np.array(
        [(turn < play) - chance for turn, chance in enumerate(policy[: len(PLAYS[play])])]
    )


def exact(policy: tuple[float, ...]) -> Solution:
    return solve(ENV, policy=lambda key, _: [1 - policy[int(key)], policy[int(key)]])


def true_gradient(policy: tuple[float, ...]) -> np.ndarray:
    """By the policy gradient theorem, from the solver's values."""
    solution, reached = exact(policy), np.cumprod((1.0, *policy))
    gains = [
        solution.q(str(turn), "continue", turn) - solution.q(str(turn), "stop", turn)
        for turn in range(TURNS)
    ]
    return np.array([reached[t] * p * (1 - p) * gains[t] for t, p in enumerate(policy)])


def expected_gradient(credit: Credit, policy: tuple[float, ...], size: int = 3) -> np.ndarray:
    """The mean over all groups of the sum over turns of advantage times gradient, per play."""
    likelihood, total = chances(policy), np.zeros(TURNS)
    for group in itertools.product(range(len(PLAYS)), repeat=size):
        chance = float(np.prod(likelihood[list(group)]))
        for play, advantages_T in zip(group, credit([PLAYS[p] for p in group]), strict=True):
            slopes = slopes_of(play, policy) * advantages_T
            total[: len(slopes)] += chance * slopes / size
    return total


def centred(rewards_ET: list[list[float]]) -> list[np.ndarray]:
    return turn_index_normalised(rewards_ET, ["task"] * len(rewards_ET), scale="none")


def standardised(rewards_ET: list[list[float]]) -> list[np.ndarray]:
    return turn_index_normalised(rewards_ET, ["task"] * len(rewards_ET), scale="std")


def suffix_returns_less_the_others(rewards_ET: list[list[float]]) -> list[np.ndarray]:
    return turn_leave_one_out(rewards_ET, ["task"] * len(rewards_ET))


def centred_in_a_large_group(policy: tuple[float, ...]) -> Credit:
    """The limit of many plays: the mean of those still playing is its expectation."""
    means = []
    for turn in range(TURNS):
        playing = [(c, r[turn]) for c, r in zip(chances(policy), PLAYS, strict=True) if r[turn:]]
        means.append(sum(c * r for c, r in playing) / sum(c for c, _ in playing))
    return lambda rewards_ET: [
        discounted_returns(np.array(r) - means[: len(r)], 1.0) for r in rewards_ET
    ]


@pytest.mark.parametrize("policy", POLICIES)
def test_suffix_returns_against_the_others_have_the_true_gradient(policy: tuple[float, ...]):
    found = expected_gradient(suffix_returns_less_the_others, policy)
    assert found == pytest.approx(true_gradient(policy), abs=1e-12)
    assert true_gradient(policy).min() > 0.0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_bias_is_the_whole_future_of_continuing(policy: tuple[float, ...]):
    solution, reached = exact(policy), np.cumprod((1.0, *policy))
    future = [*(solution.value(str(turn), turn) for turn in range(1, TURNS)), 0.0]
    bias = [-reached[t] * p * (1 - p) * future[t] for t, p in enumerate(policy)]
    found = expected_gradient(centred_in_a_large_group(policy), policy, size=1)
    assert found - true_gradient(policy) == pytest.approx(bias, abs=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("credit", [centred, standardised])
def test_it_punishes_continuing_on_every_turn_but_the_last(
    credit: Credit, policy: tuple[float, ...]
):
    found = expected_gradient(credit, policy)
    assert (found[:-1] < 0.0).all() and found[-1] > 0.0


def test_what_it_sees_of_continuing_is_the_reward_of_the_turn_alone():
    # of n who play a turn, a mean with oneself in it leaves (n - 1) / n of the difference
    policy = POLICIES[1]
    others = [policy[0] ** k * (1 - policy[0]) ** (2 - k) * (1, 2, 1)[k] for k in range(3)]
    shares = [2 / 3, sum(chance * k / (k + 1) for k, chance in enumerate(others))]
    reached = (1.0, policy[0])
    expected = [-reached[t] * policy[t] * (1 - policy[t]) * GAP * shares[t] for t in range(2)]
    assert expected_gradient(centred, policy)[:2] == pytest.approx(expected, abs=1e-12)


def climb(gradient: Callable[[tuple[float, ...]], np.ndarray]) -> float:
    """The exact value after following a gradient from even chances."""
    logits, policy = np.zeros(TURNS), (0.5,) * TURNS
    for _ in range(300):
        logits += 2.0 * gradient(policy)
        policy = tuple(float(chance) for chance in 1 / (1 + np.exp(-logits)))
    return exact(policy).start_value


def test_following_it_ends_at_the_worst_return_and_the_true_gradient_at_the_best():
    def biased(policy: tuple[float, ...]) -> np.ndarray:
        return expected_gradient(centred_in_a_large_group(policy), policy, size=1)

    def unbiased(policy: tuple[float, ...]) -> np.ndarray:
        return expected_gradient(
            lambda rewards_ET: [discounted_returns(r, 1.0) for r in rewards_ET], policy, size=1
        )

    assert climb(biased) == pytest.approx(0.5, abs=0.02)
    assert climb(unbiased) == pytest.approx(1.75, abs=0.05)
