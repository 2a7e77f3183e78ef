"""Estimators that judge a play by itself: their expected policy gradient against the true one.

Every play of small environments is listed with its probability under a tabular policy. The true
gradient is the policy gradient theorem with the solver's values, which knows no plays.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from pytest import approx

from agents.tabular import TabularSoftmaxPolicy
from algorithms import truth
from algorithms.credit import discounted_returns, gae
from algorithms.credit.groups import greedy_baseline, identical_credit, spread
from algorithms.credit.tracker import tracked_advantages, updated_tracker
from lmenvs.exact import solve
from tests.support.enumeration import Batch, Scene, exactly, expected


def baseline_of_the_past(of: Scene, batch: Batch) -> list[np.ndarray]:
    """A number for every turn that looks at all that came before the action, and is no value."""
    baselines_ET = []
    for play in batch.plays:
        places_T = truth.places_of(of.table, [play])
        past_T = np.cumsum(places_T) - places_T
        keys_T = of.table.rows[places_T]
        baselines_ET.append(3.0 * np.sin(past_T + 2.0 * keys_T + np.arange(len(places_T))))
    return baselines_ET


def test_the_list_of_plays_is_complete(of: Scene):
    plays = of.alone.plays
    assert sum(play.probability for play in plays) == approx(1.0, abs=1e-12)
    mean = sum(play.probability * sum(play.rewards_T) for play in plays)
    assert mean == approx(of.solution.start_value, abs=1e-12)
    assert np.abs(of.gradient).max() > 0.05  # there is something to estimate


def test_the_true_gradient_is_the_slope_of_the_exact_value(of: Scene):
    step = 1e-5
    for place, (key, action) in enumerate(of.table.places):
        nudged = [TabularSoftmaxPolicy(of.policy.logits) for _ in range(2)]
        nudged[0].add(key, [action], [step])
        nudged[1].add(key, [action], [-step])
        ahead, behind = (solve(of.env, policy=policy).start_value for policy in nudged)
        assert (ahead - behind) / (2 * step) == approx(of.gradient[place], abs=1e-8)


def test_monte_carlo_returns_are_exact(of: Scene):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        return [discounted_returns(rewards_T, 1.0) for rewards_T in batch.rewards_ET]

    assert expected(of, of.alone, credit) == exactly(of.gradient)


def test_identical_credit_is_exact(of: Scene):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        return identical_credit(batch.returns_E, batch.turns_E)

    assert expected(of, of.alone, credit) == exactly(of.gradient)


def test_a_greedy_play_of_the_same_task_is_a_baseline_that_leaves_credit_exact(of: Scene):
    greedy = solve(of.env, policy=TabularSoftmaxPolicy(of.policy.logits, temperature=0.0))

    def credit(batch: Batch) -> Sequence[np.ndarray]:
        greedy_returns_E = [greedy.value(keys_T[0]) for keys_T in batch.keys_ET]
        return spread(greedy_baseline(batch.returns_E, greedy_returns_E), batch.turns_E)

    assert expected(of, of.alone, credit) == exactly(of.gradient)


def test_gae_with_lambda_one_is_exact_for_any_baseline_that_has_not_seen_the_action(of: Scene):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        baselines_ET = baseline_of_the_past(of, batch)
        pairs = zip(batch.rewards_ET, baselines_ET, strict=True)
        return [gae(rewards_T, baselines_T, 1.0, 1.0) for rewards_T, baselines_T in pairs]

    assert expected(of, of.alone, credit) == exactly(of.gradient)


def test_a_baseline_that_has_seen_the_action_is_biased(of: Scene):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        taken = [0.3 * truth.places_of(of.table, [play]) for play in batch.plays]
        return [gae(r, v, 1.0, 1.0) for r, v in zip(batch.rewards_ET, taken, strict=True)]

    assert np.abs(expected(of, of.alone, credit) - of.gradient).max() > 0.01


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95])
def test_gae_with_any_lambda_is_exact_for_the_true_values(of: Scene, lam: float):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        values_ET = [truth.true_values(of.solution, play) for play in batch.plays]
        return [gae(r, v, 1.0, lam) for r, v in zip(batch.rewards_ET, values_ET, strict=True)]

    assert expected(of, of.alone, credit) == exactly(of.gradient)


def test_true_advantages_are_exact_and_their_mean_given_the_state_is_zero(of: Scene):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        return [truth.true_advantages(of.solution, play) for play in batch.plays]

    assert expected(of, of.alone, credit) == exactly(of.gradient)
    weighted = [
        play.probability * sum(advantages_T)
        for play, advantages_T in zip(of.alone.plays, credit(of.alone), strict=True)
    ]
    assert sum(weighted) == approx(0.0, abs=1e-12)


@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_discounted_returns_with_the_weight_of_their_turn_are_exact(of: Scene, discount: float):
    """Without it they are biased: see the table of biases."""

    def credit(batch: Batch) -> Sequence[np.ndarray]:
        return [
            discount ** np.arange(len(rewards_T)) * discounted_returns(rewards_T, discount)
            for rewards_T in batch.rewards_ET
        ]

    true = truth.true_gradient(of.env, of.policy, discount)
    assert expected(of, of.alone, credit) == exactly(true)


def test_a_tracker_that_has_not_seen_the_play_is_exact(of: Scene):
    low, high = min(of.alone.returns_E), max(of.alone.returns_E)
    tasks_E = [keys_T[0] for keys_T in of.alone.keys_ET]
    state = {tasks_E[0]: (1.3, 4.1)}  # any history of the task; others have none

    def credit(batch: Batch) -> Sequence[np.ndarray]:
        advantages_E = tracked_advantages(batch.returns_E, tasks_E, state, low, high, "none")
        return spread(advantages_E, batch.turns_E)

    assert expected(of, of.alone, credit) == exactly(of.gradient / (high - low))


def test_a_tracker_that_is_updated_with_the_play_first_shrinks_the_gradient(of: Scene):
    low, high = min(of.alone.returns_E), max(of.alone.returns_E)

    def credit(batch: Batch) -> Sequence[np.ndarray]:
        advantages_E = []
        for total in batch.returns_E:
            state = updated_tracker(
                [total], ["task"], {"task": (3.0, 4.0)}, {"task": 0.0}, low, high
            )
            advantages_E += list(tracked_advantages([total], ["task"], state, low, high, "none"))
        return spread(advantages_E, batch.turns_E)

    kept = 0.96 * 7.0  # of the history; the play itself counts as one more
    shrunk = of.gradient / (high - low) * kept / (kept + 1.0)
    assert expected(of, of.alone, credit) == exactly(shrunk)
