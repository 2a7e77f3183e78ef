"""Scores: LMRL-Gym's normalisation, intervals whose coverage is measured, comparisons by seed."""

import math

import numpy as np
import pytest
from pytest import approx

from lmenvs import Action, Episode, Turn
from lmenvs.scores import compare, interval, normalise, wilson

MAZE = "lmenvs/Maze-v0"


def _episode(seed: int, reward: float, env: str = MAZE) -> Episode:
    turn = Turn("Go.", Action("go"), reward)
    return Episode(f"e{seed}", env, seed, "all", "", (turn,), "Done.", True, False, reward > 0)


def test_the_bounds_of_the_table_normalise_to_0_50_and_100():
    assert [normalise(MAZE, raw) for raw in (-101.0, -83.0, -6.84)] == approx([0, 50, 100])


def test_normalised_scores_are_linear_on_each_side_of_the_average():
    assert normalise(MAZE, -92.0) == approx(25.0)
    assert normalise(MAZE, (-83.0 - 6.84) / 2) == approx(75.0)
    assert normalise(MAZE, -200.0) < 0.0 < 100.0 < normalise(MAZE, 0.0)


def test_an_environment_without_bounds_is_refused_and_told_which_have_them():
    with pytest.raises(ValueError, match=r"has no reference .*environments with bounds: .*Maze-v0"):
        normalise("lmenvs/Maze-v0?layout=u&on_invalid=noop", 1.0)
    with pytest.raises(ValueError, match="no environment"):
        normalise("lmenvs/Labyrinth-v0", 1.0)


def test_the_interval_of_two_values_is_the_quantiles_of_their_three_possible_means():
    # resamples of (0, 1): mean 0 with 1/4, 1/2 with 1/2, 1 with 1/4
    assert interval([0.0, 1.0], level=0.4) == (0.5, 0.5)
    assert interval([0.0, 1.0], level=0.6) == (0.0, 1.0)


def test_the_interval_matches_the_normal_approximation_on_many_values():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    low, high = interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == approx(values.mean() - half, abs=0.02)
    assert high == approx(values.mean() + half, abs=0.02)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        low, high = interval(generator.random(60) < 0.7, resamples=500)
        hits += low <= 0.7 <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_the_interval_is_a_function_of_its_arguments():
    values = [0.0, 1.0, 1.0, 3.0, 2.0]
    before = repr(np.random.get_state())
    assert interval(values, seed=3) == interval(values, seed=3)
    assert repr(np.random.get_state()) == before


def test_an_interval_does_not_depend_on_how_the_resamples_are_cut_into_chunks(
    monkeypatch: pytest.MonkeyPatch,
):
    values = np.random.default_rng(2).random(50)
    whole = interval(values, resamples=2000)
    monkeypatch.setattr("lmenvs.scores._CHUNK", 50 * 64)
    assert interval(values, resamples=2000) == whole


def test_all_successes_get_wilsons_interval_and_not_certainty():
    assert interval([1.0] * 20) == wilson(20, 20)
    low, high = wilson(20, 20)
    assert high == 1.0 and low == approx(20 / (20 + 1.959964**2), abs=1e-6)
    assert wilson(8, 20) == approx(tuple(1 - p for p in reversed(wilson(12, 20))))


def test_values_without_a_mean_are_refused():
    for values in ([], [math.nan], np.ones((1, 1)), [math.inf, 0.0]):
        with pytest.raises(ValueError, match="expected one finite number per seed"):
            interval(values)
    with pytest.raises(ValueError, match="level"):
        interval([1.0, 2.0], level=95)


def test_a_paired_comparison_sees_a_small_gain_on_tasks_that_differ_a_lot():
    generator = np.random.default_rng(0)
    hardness = generator.normal(0, 100, size=40)
    better = hardness + 1.0 + generator.normal(0, 0.5, size=40)
    result = compare(better, hardness)
    assert result.difference == approx(better.mean() - hardness.mean())
    assert 0.5 < result.low < result.difference < result.high < 1.5
    assert result.p < 0.001


def test_equal_scores_differ_by_nothing():
    result = compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (result.difference, result.low, result.high, result.p) == (0.0, 0.0, 0.0, 1.0)


def test_the_permutation_test_of_three_pairs_by_hand():
    # differences 1, 1, 2: of the 8 sign patterns only + + + and - - - reach a sum of 4
    assert compare([2.0, 2.0, 3.0], [1.0, 1.0, 1.0]).p == approx(2 / 8)
    # differences 1, -1: every pattern reaches |0|
    assert compare([1.0, 0.0], [0.0, 1.0]).p == 1.0


def test_the_sampled_permutation_test_agrees_with_the_exact_one(monkeypatch: pytest.MonkeyPatch):
    differences = np.random.default_rng(5).normal(0.4, 1.0, size=12)
    exact = compare(differences, np.zeros(12)).p
    monkeypatch.setattr("lmenvs.scores.EXACT_SIGNS", 0)
    assert compare(differences, np.zeros(12)).p == approx(exact, abs=0.015)


def test_p_is_uniform_enough_where_nothing_differs():
    generator = np.random.default_rng(4)
    p_values = [compare(generator.normal(size=10), generator.normal(size=10)).p for _ in range(300)]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_episodes_pair_by_seed_whatever_their_order():
    a = [_episode(seed, float(seed)) for seed in (3, 1, 2)]
    b = [_episode(seed, 0.5 * seed) for seed in (1, 2, 3)]
    result = compare(a, b)
    assert (result.pairs, result.mean_a, result.mean_b) == (3, 2.0, 1.0)
    assert result == compare({1: 1.0, 2: 2.0, 3: 3.0}, {3: 1.5, 2: 1.0, 1: 0.5})
    assert result.p == 2 / 8


def test_several_episodes_of_a_seed_count_as_their_mean():
    a = [_episode(1, 0.0), _episode(1, 2.0), _episode(2, 1.0)]
    assert compare(a, [_episode(1, 1.0), _episode(2, 1.0)]).difference == 0.0


def test_scores_that_do_not_pair_are_refused_with_the_reason():
    ours = [_episode(1, 0.0), _episode(2, 0.0)]
    for a, b, words in (
        ([1.0, 2.0], [1.0], "2 scores against 1"),
        (ours, [_episode(1, 0.0), _episode(7, 0.0)], r"1 only in a .*2.* 1 only in b .*7"),
        (ours, [_episode(s, 0.0, "lmenvs/Microwave-v0") for s in (1, 2)], "do not pair"),
        (ours, [0.0, 0.0], "one side has seeds"),
        ([], [], "at least one"),
    ):
        with pytest.raises(ValueError, match=words):
            compare(a, b)
