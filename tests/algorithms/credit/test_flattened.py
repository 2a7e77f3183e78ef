"""The foil that counts environment tokens, and what is wrong with it, in numbers.

Its slow reference and its identities are with the other estimators' in test_tokens.py.
"""

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.flattened import flattened_gae
from algorithms.credit.tokens import token_gae


def test_the_foil_by_hand():
    # one policy token, two of the environment, one policy token; c = .5 * .5
    # d = (.5*4 - 2, .5*4 - 4, .5*4 - 4, 8 - 4) = (0, -2, -2, 4); A = 0 - 2c - 2c^2 + 4c^3
    credit = flattened_gae([0.0, 8.0], [[2.0], [4.0]], [7, 2], 0.5, 0.5)
    assert [a.tolist() for a in credit] == [[-0.5625], [4.0]]
    # what it ought to be: d_0 + c * 4
    assert token_gae([0.0, 8.0], [[2.0], [4.0]], 0.5, 0.5)[0].tolist() == [1.0]


def test_the_length_of_an_observation_matters_to_the_foil_and_to_nobody_else():
    rewards, values = [1.0, 0.0, 2.0], [[0.5, 0.0], [1.0], [2.0, 0.5]]
    proper = [a.tolist() for a in token_gae(rewards, values, 0.9, 0.9, 3.0)]
    short = [a.tolist() for a in flattened_gae(rewards, values, [0, 2, 2], 0.9, 0.9, 3.0)]
    long = [a.tolist() for a in flattened_gae(rewards, values, [0, 30, 30], 0.9, 0.9, 3.0)]
    assert abs(short[0][0] - long[0][0]) > 0.1 and abs(short[0][0] - proper[0][0]) > 0.1
    # nothing stands behind the last turn, and what stands before the first is behind nobody
    assert short[2] == long[2] == approx(proper[2])
    prompted = flattened_gae(rewards, values, [99, 2, 2], 0.9, 0.9, 3.0)
    assert [a.tolist() for a in prompted] == short
    # with discount and lambda one nothing decays
    undiscounted = np.concatenate(flattened_gae(rewards, values, [5, 2, 7], 1.0, 1.0, 3.0))
    assert undiscounted == approx(np.concatenate(token_gae(rewards, values, 1.0, 1.0, 3.0)))


def test_the_foil_blames_an_action_for_the_length_of_the_reply_to_it():
    # two actions that lead to the same reward; the environment answers the second at length
    curt = flattened_gae([0.0, 1.0], [[0.0], [0.0]], [0, 1], 1.0, 0.5)
    talkative = flattened_gae([0.0, 1.0], [[0.0], [0.0]], [0, 3], 1.0, 0.5)
    assert (curt[0].tolist(), talkative[0].tolist()) == ([0.25], [0.0625])
    assert token_gae([0.0, 1.0], [[0.0], [0.0]], 1.0, 0.5)[0].tolist() == [0.5]


def test_the_foil_counts_the_observations_around_a_silent_turn():
    # 1 + 2 environment tokens in the gap; worth nothing themselves, each decays what follows by .5
    credit = flattened_gae([0.0, 0.0, 8.0], [[0.0], [], [0.0]], [0, 1, 2], 0.5, 1.0)
    assert credit[0].tolist() == [8.0 * 0.5**2 * 0.5**3]


def test_wrong_counts_of_environment_tokens_are_refused_in_one_line():
    with pytest.raises(
        ValueError, match=r"environment_tokens_T has shape \(2,\) for 1 turns; give"
    ):
        flattened_gae([1.0], [[1.0]], [1, 2], 0.9, 0.9)
    with pytest.raises(ValueError, match=r"environment_tokens_T\[0\] is -3; expected 0 or more"):
        flattened_gae([1.0], [[1.0]], [-3], 0.9, 0.9)
