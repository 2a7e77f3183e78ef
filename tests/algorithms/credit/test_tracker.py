"""The value tracker: a baseline that has not seen the batch, a memory that follows the policy."""

import itertools

import numpy as np
import pytest
from pytest import approx

from algorithms.credit.tracker import (
    initial_tracker,
    task_probabilities,
    tracked_advantages,
    tracked_values,
    updated_tracker,
)

FAR = 10.0  # a divergence at which rho is at its lower bound, 0.875
NEAR = 0.0  # and one at which it is at its upper bound, 0.96


def test_a_state_from_samples_has_their_mean_and_the_shortest_memory():
    state = initial_tracker({"a": [1.0, 0.0, 0.0, 0.0], "b": [1.0]})
    assert tracked_values(state, ["a", "b"]).tolist() == [0.25, 1.0]
    assert [sum(sums) for sums in state.values()] == approx([8.0, 8.0])


def test_a_new_task_starts_at_even_odds_worth_one_episode():
    assert tracked_values({}, ["new"]).tolist() == [0.5]
    assert updated_tracker([1.0], ["new"], {}, {}) == {"new": (1.5, 0.5)}


@pytest.mark.parametrize("reward", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("divergence", "kept"), [(FAR, 0.875), (NEAR, 0.96), (0.0075, 0.917)])
def test_an_update_is_a_moving_average_whose_rate_falls_with_confidence(reward, divergence, kept):
    # rho = 2^(-0.0075 / 0.06) = 0.917 between the bounds
    state = {"a": (3.0, 5.0)}
    after = updated_tracker([reward], ["a"], state, {"a": divergence})
    rate = 1.0 / (kept * 8.0 + 1.0)
    expected = 0.375 + rate * (reward - 0.375)
    assert tracked_values(after, ["a"]) == approx([expected], rel=1e-4)
    assert sum(after["a"]) == approx(kept * 8.0 + 1.0, rel=1e-4)


def test_a_policy_that_keeps_moving_is_remembered_for_eight_episodes():
    state = initial_tracker({"a": [0.0]})
    for _ in range(200):
        state = updated_tracker([1.0], ["a"], state, {"a": FAR})
        assert sum(state["a"]) == approx(8.0)  # the initial memory is the fixed point
    assert tracked_values(state, ["a"]) == approx([1.0])


def test_a_task_played_twice_in_a_batch_forgets_once():
    once = updated_tracker([1.0, 0.0], ["a", "a"], {"a": (4.0, 4.0)}, {"a": FAR})
    assert once == {"a": (0.875 * 4 + 1, 0.875 * 4 + 1)}


def test_an_update_leaves_its_arguments_and_the_other_tasks_alone():
    state = {"a": (2.0, 6.0), "b": (1.0, 1.0)}
    after = updated_tracker([1.0], ["a"], state, {"a": FAR, "b": FAR})
    assert state == {"a": (2.0, 6.0), "b": (1.0, 1.0)}
    assert after["b"] == (1.0, 1.0)
    assert after["a"] != state["a"]


def test_returns_are_mapped_from_their_bounds_to_rates():
    bounded = updated_tracker([-5.0, 5.0], ["a", "b"], {}, {}, lowest=-5.0, highest=5.0)
    assert bounded == updated_tracker([0.0, 1.0], ["a", "b"], {}, {})
    advantages = tracked_advantages([-5.0, 0.0], ["a", "b"], {}, -5.0, 5.0, scale="none")
    assert advantages.tolist() == [-0.5, 0.0]


def test_advantages_have_mean_zero_and_unit_sample_variance_over_the_batch():
    generator = np.random.default_rng(40)
    tasks = [f"task {pick}" for pick in generator.integers(0, 9, size=64)]
    state = updated_tracker(generator.uniform(size=64), tasks, {}, {})
    returns = generator.uniform(size=64)
    advantages = tracked_advantages(returns, tasks, state)
    assert advantages.mean() == approx(0.0, abs=1e-12)
    assert advantages.var(ddof=1) == approx(1.0, rel=1e-4)
    raw = tracked_advantages(returns, tasks, state, scale="none")
    assert raw == approx(returns - tracked_values(state, tasks))
    assert np.argsort(raw).tolist() == np.argsort(advantages).tolist()


@pytest.mark.parametrize("state", [{}, {"t": (2.0, 6.0)}, {"t": (7.0, 1.0)}])
def test_whatever_was_tracked_the_expected_gradient_is_exact(state):
    # a bandit with two arms that win with 0.8 and 0.3; a batch of two plays
    p, wins = 0.4, (0.3, 0.8)
    found = 0.0
    for plays in itertools.product(itertools.product((0, 1), repeat=2), repeat=2):
        chance = np.prod(
            [(p if arm else 1 - p) * (wins[arm] if won else 1 - wins[arm]) for arm, won in plays]
        )
        returns = [float(won) for _, won in plays]
        for (arm, _), advantage in zip(
            plays, tracked_advantages(returns, ["t", "t"], state, scale="none"), strict=True
        ):
            found += chance * advantage * (arm - p) / 2
    assert found == approx(p * (1 - p) * (wins[1] - wins[0]), abs=1e-12)


def test_tasks_at_even_odds_are_played_most_and_none_is_given_up():
    state = {"never": (0.0, 9.0), "even": (4.0, 4.0), "often": (9.0, 1.0), "always": (9.0, 0.0)}
    chances = task_probabilities(state, list(state))
    assert chances.sum() == approx(1.0)
    assert chances.argmax() == 1
    assert chances[0] == chances[3] > 0.0
    # sqrt(1/4) + 0.05, sqrt(0.9 * 0.1) + 0.05 and twice 0.05
    assert chances == approx(np.array([0.05, 0.55, 0.35, 0.05]))


def test_wrong_arguments_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"episode 1 has the return 2\.0, outside 0\.0 to 1\.0"):
        tracked_advantages([1.0, 2.0], ["a", "b"], {})
    with pytest.raises(ValueError, match="1 tasks for 2 returns; give one per episode"):
        tracked_advantages([1.0, 0.0], ["a"], {})
    with pytest.raises(ValueError, match="task 'a' has the divergence nan; expected at least 0"):
        updated_tracker([1.0], ["a"], {"a": (1.0, 1.0)}, {})
    with pytest.raises(ValueError, match=r"half_life is 0\.0; expected a divergence above 0"):
        updated_tracker([1.0], ["a"], {}, {}, half_life=0.0)
    for lowest, highest in ((1.0, 0.0), (-np.inf, 1.0), (0.0, np.inf), (0.0, np.nan)):
        with pytest.raises(ValueError, match="expected finite bounds, the lower bound first"):
            tracked_advantages([1.0], ["a"], {}, lowest, highest)
    with pytest.raises(ValueError, match="task 'a' has no rewards"):
        initial_tracker({"a": []})
    with pytest.raises(ValueError, match=r"exploration is 0\.0; expected above 0"):
        task_probabilities({}, ["a"], exploration=0.0)
