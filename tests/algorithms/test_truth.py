"""The measures of credit, by hand; that they agree is proved in tests/identities."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from agents.tabular import TabularSoftmaxPolicy, observation_of
from algorithms import truth
from lmenvs.exact import solve
from tests.support.games import Dice

STOP = "lmenvs/StopOrContinue-v0?turns=2"
CORRIDOR = "lmenvs/DelayedKey-v0?delay=12&keys=2"
BANDIT = "lmenvs/BernoulliBandit-v0?arms=2&horizon=2"
EVEN = TabularSoftmaxPolicy()


def test_plays_are_listed_with_their_probabilities():
    found = {play.actions_T: play for play in truth.plays(STOP, EVEN)}
    assert {actions: play.probability for actions, play in found.items()} == {
        ("stop",): 0.5,
        ("continue", "stop"): 0.25,
        ("continue", "continue"): 0.25,
    }
    longest = found["continue", "continue"]
    assert longest.keys_T == ("0", "1")
    assert longest.rewards_T == (0.25, 1.0)
    assert longest.terminated


def test_chance_is_listed_too():
    rewards = [play.rewards_T for play in truth.plays(BANDIT, EVEN)]
    assert len(rewards) == 2 * (2 * 2) ** 2  # shuffles of the arms; pulls and payments
    assert set(rewards) == {(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)}


def test_the_true_gradient_is_what_the_theorem_gives_by_hand():
    # continuing is worth 0.25 + 0.75 against 0.5 at first, and 1 against 0.5 half of the time later
    table = truth.parameters(STOP, EVEN)
    assert list(table.places) == [(key, a) for key in "01" for a in ("stop", "continue")]
    assert truth.true_gradient(STOP, EVEN).tolist() == [-0.125, 0.125, -0.0625, 0.0625]
    # with a discount of a half: 0.25 + 0.375 against 0.5, and half of the other
    assert truth.true_gradient(STOP, EVEN, 0.5).tolist() == [-0.03125, 0.03125, -0.03125, 0.03125]


def test_a_temperature_divides_the_gradient():
    sharp = TabularSoftmaxPolicy({"0": {"stop": 0.4}, "1": {"stop": -1.0}})
    soft = TabularSoftmaxPolicy({"0": {"stop": 0.8}, "1": {"stop": -2.0}}, temperature=2.0)
    halved = truth.true_gradient(STOP, sharp) / 2
    assert truth.true_gradient(STOP, soft) == approx(halved, abs=1e-15)
    returns_ET = [[sum(p.rewards_T)] * len(p.rewards_T) for p in truth.plays(STOP, soft)]
    table = truth.parameters(STOP, soft)
    found = truth.gradient(table, truth.plays(STOP, soft), returns_ET)
    assert found == approx(halved, abs=1e-15)


def test_the_true_gradient_needs_no_list_of_plays():
    with pytest.raises(ValueError, match=r"more than 100 possible plays"):
        truth.plays(CORRIDOR, EVEN, most=100)
    found, table = truth.true_gradient(CORRIDOR, EVEN), truth.parameters(CORRIDOR, EVEN)
    (key, action), place = next(iter(table.places.items()))
    ahead, behind = TabularSoftmaxPolicy(), TabularSoftmaxPolicy()
    ahead.add(key, [action], [1e-4])
    behind.add(key, [action], [-1e-4])
    slope = solve(CORRIDOR, policy=ahead).start_value - solve(CORRIDOR, policy=behind).start_value
    assert found[place] == approx(slope / 2e-4, rel=1e-5)


def test_true_advantages_and_values_are_the_solvers():
    solution = solve(STOP, policy=EVEN)
    play = next(p for p in truth.plays(STOP, EVEN) if p.actions_T == ("continue", "stop"))
    assert truth.true_values(solution, play).tolist() == [0.75, 0.75]
    assert truth.true_advantages(solution, play).tolist() == [0.25, -0.25]


def test_a_cosine_with_nothing_is_zero():
    assert truth.cosine(np.array([1.0, 1.0]), np.array([2.0, 2.0])) == approx(1.0)
    assert truth.cosine(np.array([1.0, 0.0]), np.zeros(2)) == 0.0


@pytest.mark.parametrize(
    "policy", [TabularSoftmaxPolicy(temperature=0.0), TabularSoftmaxPolicy(key=observation_of)]
)
def test_a_policy_that_has_no_gradient_over_states_is_refused(policy: TabularSoftmaxPolicy):
    with pytest.raises(ValueError, match=r"leave out `key` and `temperature`"):
        truth.true_gradient(STOP, policy)


def test_an_environment_without_a_turn_limit_is_refused():
    with pytest.raises(ValueError, match=r"has a turn limit"):
        truth.plays(Dice(), EVEN)


def test_advantages_for_the_wrong_number_of_turns_are_refused():
    played = truth.plays(STOP, EVEN)
    with pytest.raises(ValueError, match=r"play 1: 1 advantages for 2 turns"):
        truth.gradient(truth.parameters(STOP, EVEN), played, [[0.0], [0.0], [0.0, 0.0]])


def test_a_play_of_another_environment_is_refused():
    played = [replace(play, keys_T=("9",) * len(play.keys_T)) for play in truth.plays(STOP, EVEN)]
    with pytest.raises(ValueError, match=r"action 'stop' in state '9'"):
        truth.places_of(truth.parameters(STOP, EVEN), played)
