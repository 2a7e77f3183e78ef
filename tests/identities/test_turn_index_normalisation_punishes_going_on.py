"""Rewards normalised at each turn among those still playing, then summed: the bias, exactly.

StopOrContinue, where continuing is better under every policy. What is subtracted has a term for
every turn that the play takes, so it depends on the action: the future of an action that continues
is worth 0 on average, whatever it earns. All plays and all groups of three are enumerated.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from pytest import approx

from agents.tabular import TabularSoftmaxPolicy
from algorithms import truth
from algorithms.credit import discounted_returns
from algorithms.credit.turn_baselines import turn_index_normalised, turn_leave_one_out
from algorithms.truth import Floats
from lmenvs.exact import solve
from tests.support.enumeration import Batch, batch, groups_of

TURNS = 4
ENV = f"lmenvs/StopOrContinue-v0?turns={TURNS}"
POLICIES = ((0.5,) * TURNS, (0.9, 0.8, 0.9, 0.7), (0.1, 0.2, 0.1, 0.3), (0.95, 0.1, 0.6, 0.05))
GAP = 0.25  # what stopping pays more than continuing, at once
Chances = tuple[float, ...]
"""That of continuing, at every turn."""
Credit = Callable[[Batch], Sequence[Floats]]


def table_of(policy: Chances) -> TabularSoftmaxPolicy:
    rows = {str(turn): {"continue": float(np.log(p / (1 - p)))} for turn, p in enumerate(policy)}
    return TabularSoftmaxPolicy(rows)


@cache
def plays(policy: Chances) -> Batch:
    played = truth.plays(ENV, table_of(policy))
    return batch(played, range(len(played)))


@cache
def groups(policy: Chances) -> Batch:
    return groups_of(plays(policy).plays)


def slopes(policy: Chances, gradient: Floats) -> Floats:
    """The gradient by the logit of continuing at each turn; that of stopping is its opposite."""
    places = truth.parameters(ENV, table_of(policy)).places
    return gradient[[places[str(turn), "continue"] for turn in range(TURNS)]]


def true_gradient(policy: Chances) -> Floats:
    return slopes(policy, truth.true_gradient(ENV, table_of(policy)))


def expected_gradient(credit: Credit, policy: Chances, played: Batch) -> Floats:
    table = truth.parameters(ENV, table_of(policy))
    return slopes(policy, truth.gradient(table, played.plays, credit(played)))


def centred(played: Batch) -> Sequence[Floats]:
    return turn_index_normalised(played.rewards_ET, played.groups_E, scale="none")


def standardised(played: Batch) -> Sequence[Floats]:
    return turn_index_normalised(played.rewards_ET, played.groups_E, scale="std")


def suffix_returns_less_the_others(played: Batch) -> Sequence[Floats]:
    return turn_leave_one_out(played.rewards_ET, played.groups_E)


def centred_in_a_large_group(played: Batch) -> Sequence[Floats]:
    """The limit of many plays: the mean of those still playing is its expectation."""
    means = []
    for turn in range(TURNS):
        rewards = [(p.probability, p.rewards_T[turn]) for p in played.plays if p.rewards_T[turn:]]
        means.append(sum(c * r for c, r in rewards) / sum(c for c, _ in rewards))
    return [discounted_returns(np.array(r) - means[: len(r)], 1.0) for r in played.rewards_ET]


@pytest.mark.parametrize("policy", POLICIES)
def test_suffix_returns_against_the_others_have_the_true_gradient(policy: Chances):
    found = expected_gradient(suffix_returns_less_the_others, policy, groups(policy))
    assert found == approx(true_gradient(policy), abs=1e-12)
    assert true_gradient(policy).min() > 0.0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_bias_is_the_whole_future_of_continuing(policy: Chances):
    solution = solve(ENV, policy=table_of(policy))
    reached = np.cumprod((1.0, *policy))
    future = [*(solution.value(str(turn), turn) for turn in range(1, TURNS)), 0.0]
    bias = [-reached[t] * p * (1 - p) * future[t] for t, p in enumerate(policy)]
    found = expected_gradient(centred_in_a_large_group, policy, plays(policy))
    assert found - true_gradient(policy) == approx(bias, abs=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("credit", [centred, standardised])
def test_it_punishes_continuing_on_every_turn_but_the_last(credit: Credit, policy: Chances):
    found = expected_gradient(credit, policy, groups(policy))
    assert (found[:-1] < 0.0).all() and found[-1] > 0.0


def test_what_it_sees_of_continuing_is_the_reward_of_the_turn_alone():
    # of n who play a turn, a mean with oneself in it leaves (n - 1) / n of the difference
    policy = POLICIES[1]
    others = [policy[0] ** k * (1 - policy[0]) ** (2 - k) * (1, 2, 1)[k] for k in range(3)]
    shares = [2 / 3, sum(chance * k / (k + 1) for k, chance in enumerate(others))]
    reached = (1.0, policy[0])
    expected = [-reached[t] * policy[t] * (1 - policy[t]) * GAP * shares[t] for t in range(2)]
    found = expected_gradient(centred, policy, groups(policy))
    assert found[:2] == approx(expected, abs=1e-12)


def climb(credit: Credit) -> float:
    """The exact value after following an expected gradient from even chances."""
    policy = table_of((0.5,) * TURNS)
    for _ in range(300):
        played = truth.plays(ENV, policy)
        table = truth.parameters(ENV, policy)
        step = truth.gradient(table, played, credit(batch(played, range(len(played)))))
        for (key, action), place in table.places.items():
            policy.add(key, [action], [step[place]])
    return solve(ENV, policy=policy).start_value


def test_following_it_ends_at_the_worst_return_and_the_true_gradient_at_the_best():
    def unbiased(played: Batch) -> Sequence[Floats]:
        return [discounted_returns(rewards_T, 1.0) for rewards_T in played.rewards_ET]

    assert climb(centred_in_a_large_group) == approx(0.5, abs=0.02)
    assert climb(unbiased) == approx(1.75, abs=0.05)
