"""Exact, exact up to a constant or biased: the class that each group estimator says it is in.

A game of three turns in which every turn may stop: all plays and all groups of three are listed,
and the mean of advantage times gradient is compared with finite differences of the exact value.
"""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from algorithms.credit.anchors import group_in_group
from algorithms.credit.beta import beta_normalised
from algorithms.credit.groups import (
    greedy_baseline,
    group_relative,
    identical_credit,
    leave_one_out,
    spread,
)
from algorithms.credit.turn_baselines import turn_index_normalised, turn_leave_one_out

# what a play earns that stops at turn 0, 1, 2 or never; its sum is between 0 and 1
PLAYS = [[0.375], [0.125, 0.25], [0.125, 0.0, 0.125], [0.125, 0.0, 0.875]]
LOGITS = np.array([0.4, -0.3, 0.2])  # of going on
TASKS = ["task"] * 3
Plays = list[list[float]]
Credit = Callable[[Plays], list[np.ndarray]]


def chances(logits: np.ndarray) -> np.ndarray:
    going_on = 1 / (1 + np.exp(-logits))
    return np.cumprod([1.0, *going_on]) * np.array([*(1 - going_on), 1.0])


def true_gradient() -> np.ndarray:
    returns, step = np.array(sums(PLAYS)), 1e-4
    nudges = step * np.eye(3)
    differences = [chances(LOGITS + n) @ returns - chances(LOGITS - n) @ returns for n in nudges]
    return np.array(differences) / (2 * step)


def expected_gradient(credit: Credit) -> np.ndarray:
    likelihood, total = chances(LOGITS), np.zeros(3)
    going_on = 1 / (1 + np.exp(-LOGITS))
    for group in itertools.product(range(len(PLAYS)), repeat=3):
        chance = float(np.prod(likelihood[list(group)]))
        for play, advantages_T in zip(group, credit([PLAYS[p] for p in group]), strict=True):
            turns = len(advantages_T)
            slopes = (np.arange(turns) < play) - going_on[:turns]
            total[:turns] += chance * slopes * advantages_T / 3
    return total


def sums(plays: Plays) -> list[float]:
    return [sum(play) for play in plays]


def lengths(plays: Plays) -> list[int]:
    return [len(play) for play in plays]


def turns_as_states(plays: Plays) -> list[range]:
    return [range(len(play)) for play in plays]


EXACT: dict[str, Credit] = {
    "identical": lambda plays: identical_credit(sums(plays), lengths(plays)),
    "greedy": lambda plays: spread(greedy_baseline(sums(plays), [0.375] * 3), lengths(plays)),
    "leave one out": lambda plays: spread(leave_one_out(sums(plays), TASKS), lengths(plays)),
    "turns less the others": lambda plays: turn_leave_one_out(plays, TASKS),
}
TWO_THIRDS: dict[str, Credit] = {
    "centred": lambda plays: spread(group_relative(sums(plays), TASKS, "none"), lengths(plays)),
    "Beta(1, 1)": lambda plays: spread(
        beta_normalised(sums(plays), TASKS, shape=(1.0, 1.0)), lengths(plays)
    ),
}
BIASED: dict[str, Credit] = {
    "standardised": lambda plays: spread(group_relative(sums(plays), TASKS), lengths(plays)),
    "anchors": lambda plays: group_in_group(plays, turns_as_states(plays), TASKS, 1.0),
    "anchors, centred": lambda plays: group_in_group(
        plays, turns_as_states(plays), TASKS, 1.0, scale="none"
    ),
    "Beta(1, 3)": lambda plays: spread(
        beta_normalised(sums(plays), TASKS, shape=(1.0, 3.0)), lengths(plays)
    ),
    "turns among those playing": lambda plays: turn_index_normalised(plays, TASKS, "none"),
}


@pytest.mark.parametrize("name", EXACT)
def test_what_has_not_seen_the_action_is_exact(name: str):
    assert expected_gradient(EXACT[name]) == pytest.approx(true_gradient(), abs=1e-8)


@pytest.mark.parametrize("name", TWO_THIRDS)
def test_a_mean_with_oneself_in_it_is_exact_up_to_the_factor_two_thirds(name: str):
    assert expected_gradient(TWO_THIRDS[name]) == pytest.approx(true_gradient() * 2 / 3, abs=1e-8)


@pytest.mark.parametrize("name", BIASED)
def test_the_others_point_elsewhere(name: str):
    found, truth = expected_gradient(BIASED[name]), true_gradient()
    cosine = found @ truth / np.linalg.norm(found) / np.linalg.norm(truth)
    assert cosine < 1 - 1e-4
