"""Returns and advantages of one episode: identities on random episodes, then numbers by hand."""

import numpy as np
import pytest
from pytest import approx

from algorithms.credit import discounted_returns, explained_variance, gae, lambda_targets

SEEDS = range(20)


def random_episode(seed: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Rewards, values, a bootstrap value and a discount; one to eight turns."""
    generator = np.random.default_rng((seed, 11))
    turns = int(generator.integers(1, 9))
    rewards, values = generator.normal(size=(2, turns))
    return rewards, values, float(generator.normal()), float(generator.uniform(0.1, 1.0))


@pytest.mark.parametrize("seed", SEEDS)
def test_gae_with_lambda_one_and_no_values_is_the_discounted_return(seed: int):
    rewards, _, bootstrap, discount = random_episode(seed)
    zeros = np.zeros_like(rewards)
    expected = discounted_returns(rewards, discount, bootstrap)
    assert gae(rewards, zeros, discount, lam=1.0, bootstrap=bootstrap) == approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_gae_with_lambda_zero_is_the_one_step_temporal_difference(seed: int):
    rewards, values, bootstrap, discount = random_episode(seed)
    following = [*values[1:], bootstrap]
    expected = [r + discount * n - v for r, n, v in zip(rewards, following, values, strict=True)]
    assert gae(rewards, values, discount, lam=0.0, bootstrap=bootstrap) == approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("truncated", [True, False])
def test_gae_with_lambda_one_plus_values_is_the_return_bootstrapped_only_when_truncated(
    seed: int, truncated: bool
):
    rewards, values, final_value, discount = random_episode(seed)
    bootstrap = final_value if truncated else 0.0
    turns = len(rewards)
    for turn in range(turns):
        ahead = sum(discount ** (later - turn) * rewards[later] for later in range(turn, turns))
        if truncated:
            ahead += discount ** (turns - turn) * final_value
        targets = lambda_targets(rewards, values, discount, 1.0, bootstrap)
        assert targets[turn] == approx(ahead)
        assert gae(rewards, values, discount, 1.0, bootstrap)[turn] + values[turn] == approx(ahead)


@pytest.mark.parametrize("seed", SEEDS)
def test_gae_is_the_sum_of_temporal_differences_discounted_by_lambda(seed: int):
    rewards, values, bootstrap, discount = random_episode(seed)
    lam = 0.7
    differences = gae(rewards, values, discount, 0.0, bootstrap)
    turns = len(rewards)
    expected = [
        sum((discount * lam) ** (later - turn) * differences[later] for later in range(turn, turns))
        for turn in range(turns)
    ]
    assert gae(rewards, values, discount, lam, bootstrap) == approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_lambda_targets_mix_the_n_step_returns(seed: int):
    rewards, values, bootstrap, discount = random_episode(seed)
    lam, turns = 0.6, len(rewards)
    following = [*values[1:], bootstrap]

    def n_step(turn: int, n: int) -> float:
        last = turn + n - 1
        ahead = sum(discount ** (k - turn) * rewards[k] for k in range(turn, last + 1))
        return float(ahead + discount**n * following[last])

    for turn in range(turns):
        longest = turns - turn
        mixed = lam ** (longest - 1) * n_step(turn, longest)
        mixed += sum((1 - lam) * lam ** (n - 1) * n_step(turn, n) for n in range(1, longest))
        assert lambda_targets(rewards, values, discount, lam, bootstrap)[turn] == approx(mixed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("truncated", [True, False])
def test_potential_shaping_telescopes(seed: int, truncated: bool):
    rewards, potentials, final, discount = random_episode(seed)
    final_potential = final if truncated else 0.0
    following = np.append(potentials[1:], final_potential)
    shaping = discount * following - potentials
    turns = len(rewards)
    total = discounted_returns(shaping, discount)[0]
    assert total == approx(discount**turns * final_potential - potentials[0])
    # a critic that shifts with the potential sees the same advantages: the shaping changes nothing
    unshaped = gae(rewards, np.zeros(turns), discount, 0.9, bootstrap=final)
    shaped = gae(rewards + shaping, -potentials, discount, 0.9, bootstrap=final - final_potential)
    assert shaped == approx(unshaped)


def test_a_reward_of_zero_keeps_its_place():
    # the last reward is discounted twice, not once as if the middle turn were not there
    assert discounted_returns([0, 0, 4], 0.5).tolist() == [1.0, 2.0, 4.0]
    # d = (.5*2 - 2, .5*2 - 2, 4 - 2); A_1 = -1 + .5*2, A_0 = -1 + .5*0
    assert gae([0, 0, 4], [2, 2, 2], 0.5, 1.0).tolist() == [-1.0, 0.0, 2.0]


def test_long_episodes_equal_the_recursion_turn_by_turn():
    generator = np.random.default_rng(12)
    rewards, values = generator.normal(size=(2, 500))
    returns, advantages, behind, ahead = np.zeros(500), np.zeros(500), 0.3, 0.0
    next_value = 0.3
    for turn in reversed(range(500)):
        behind = rewards[turn] + 0.97 * behind
        ahead = rewards[turn] + 0.97 * next_value - values[turn] + 0.97 * 0.9 * ahead
        next_value, returns[turn], advantages[turn] = values[turn], behind, ahead
    assert discounted_returns(rewards, 0.97, bootstrap=0.3) == approx(returns, abs=1e-12)
    assert gae(rewards, values, 0.97, 0.9, bootstrap=0.3) == approx(advantages, abs=1e-12)


def test_lists_tuples_and_arrays_of_any_number_type_are_taken():
    expected = discounted_returns([1.0, 2.0], 0.5).tolist()
    for rewards in ((1, 2), [1, 2], np.array([1, 2]), np.array([1.0, 2.0], dtype=np.float32)):
        assert discounted_returns(rewards, 0.5).tolist() == expected
    assert discounted_returns([1, 2], 0.5).dtype == np.float64


def test_returns_and_advantages_by_hand():
    # D_2 = 3 + .5*8 = 7, D_1 = 2 + .5*7 = 5.5, D_0 = 1 + .5*5.5 = 3.75
    assert discounted_returns([1, 2, 3], 0.5, bootstrap=8.0).tolist() == [3.75, 5.5, 7.0]
    # d = (1 + .5*4 - 2, 2 + .5*6 - 4) = (1, 1); A_1 = 1, A_0 = 1 + .5*.5*1
    assert gae([1, 2], [2, 4], 0.5, 0.5, bootstrap=6.0).tolist() == [1.25, 1.0]
    assert lambda_targets([1, 2], [2, 4], 0.5, 0.5, bootstrap=6.0).tolist() == [3.25, 5.0]


def test_an_episode_without_turns_gives_empty_arrays():
    assert discounted_returns([], 0.9).shape == (0,)
    assert gae([], [], 0.9, 0.9, bootstrap=3.0).shape == (0,)


def test_the_arguments_are_left_as_they_were():
    rewards, values = np.array([1.0, 2.0]), np.array([0.5, 0.25])
    gae(rewards, values, 0.9, 0.9)
    lambda_targets(rewards, values, 0.9, 0.9)
    assert (rewards.tolist(), values.tolist()) == ([1.0, 2.0], [0.5, 0.25])


def test_explained_variance_is_one_for_the_truth_zero_for_a_constant_and_negative_for_worse():
    target = [1.0, 2.0, 4.0]
    assert explained_variance(target, target) == 1.0
    assert explained_variance([5.0, 5.0, 5.0], target) == approx(0.0)
    assert explained_variance([-1.0, -2.0, -4.0], target) == approx(-3.0)
    assert explained_variance([0.0, 1.0], [2.0, 2.0]) == 0.0
    assert explained_variance([], []) == 0.0


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match="1 values for 2 rewards; give one value per turn"):
        gae([1.0, 2.0], [1.0], 0.9, 0.9)
    with pytest.raises(ValueError, match="3 values for 2 rewards"):
        gae([1.0, 2.0], [1.0, 2.0, 3.0], 0.9, 0.9)
    with pytest.raises(ValueError, match=r"rewards_T\[1\] is nan; expected finite .*, leave out"):
        discounted_returns([1.0, float("nan")], 0.9)
    with pytest.raises(ValueError, match="bootstrap is inf"):
        discounted_returns([1.0], 0.9, bootstrap=float("inf"))
    with pytest.raises(ValueError, match="bootstrap is nan"):
        gae([1.0], [1.0], 0.9, 0.9, bootstrap=float("nan"))
    with pytest.raises(ValueError, match=r"rewards_T has shape \(1, 2\)"):
        discounted_returns(np.zeros((1, 2)), 0.9)
    with pytest.raises(ValueError, match=r"discount is 1\.5; expected a number from 0 to 1"):
        discounted_returns([1.0], 1.5)
    with pytest.raises(ValueError, match=r"lam is -0\.1"):
        gae([1.0], [1.0], 0.9, -0.1)
    with pytest.raises(ValueError, match="1 predictions for 2 targets"):
        explained_variance([1.0], [1.0, 2.0])
