"""What a sample costs, and what its errors are."""

import numpy as np
import pytest

from algorithms.bench.credit import draws
from algorithms.bench.credit.estimators import ESTIMATORS
from algorithms.bench.credit.measures import (
    Measured,
    against_truth,
    measure,
    rank_correlation,
    student_interval,
    summary,
    turn_credit,
)
from algorithms.bench.credit.world import World, build, half_way

BY_NAME = {estimator.name: estimator for estimator in ESTIMATORS}


@pytest.fixture(scope="module")
def world() -> World:
    model = build("lmenvs/Microwave-v0")
    return World(model, half_way(model)[0])


def chance(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(numbers)


def test_every_way_of_drawing_costs_what_so_many_episodes_cost(world):
    limit, costs = 512 * world.turns_per_episode, draws.unit_costs(world, 0)
    for name, draw in draws.DRAWS.items():
        units = int(limit / costs[name] + 1e-9)
        turns = [draw(world, units, chance(1, number)).turns for number in range(8)]
        assert limit - costs[name] - 0.04 * limit < np.mean(turns) < 1.04 * limit, name


def test_what_is_played_beside_the_judged_turns_is_in_the_cost(world):
    for name in ("with history", "greedy", "chain", "siblings with history"):
        sample = draws.DRAWS[name](world, 4, chance(2))
        assert sample.turns > sample.plays.turns, name
        assert sample.words > sample.plays.words, name
    for name in ("episodes", "groups", "tree", "siblings"):
        sample = draws.DRAWS[name](world, 4, chance(2))
        assert sample.turns == sample.plays.turns, name


def test_groups_are_eight_of_one_start_and_never_merge():
    model = build("lmenvs/DelayedKey-v0")
    sample = draws.groups(World(model, half_way(model)[0]), 6, chance(3))
    assert np.bincount(sample.groups_E).tolist() == [8] * 6
    starts = sample.plays.situations_N[sample.plays.starts_E].reshape(6, 8)
    assert (starts == starts[:, :1]).all()


def test_a_tree_weighs_each_depth_like_one_episode(world):
    sample = draws.tree(world, 50, chance(4))
    roots = np.isnan(sample.node_values) & (sample.parents < 0)
    assert roots.sum() == 50
    opening = np.zeros(sample.plays.turns, dtype=bool)
    opening[sample.plays.starts_E] = True
    first = opening & (sample.parents[sample.nodes_N] < 50)
    assert sample.weights_N[first].sum() == pytest.approx(1.0)


def test_a_trees_leaf_has_the_return_of_the_whole_way_to_it(world):
    sample = draws.tree(world, 20, chance(5))
    pieces = sample.plays.returns_E
    for node in range(20 + 60, len(sample.parents)):
        above = sample.parents[node]
        assert sample.node_values[node] == pytest.approx(pieces[node - 20] + pieces[above - 20])


def test_a_critic_is_the_mean_return_after_each_prefix_and_the_mean_of_all_elsewhere(world):
    sample = draws.with_history(world, 3, chance(6))
    past, values = sample.history, sample.critic(1.0, 1.0)
    assert past is not None
    to_go = [np.cumsum(row[::-1])[::-1] for row in past.per_episode(past.rewards_N)]
    returns_N = np.concatenate(to_go)
    roots = world.words.first_row[past.states_N]
    for root in np.unique(roots):
        assert values[root] == pytest.approx(returns_N[roots == root].mean())
    unseen = np.setdiff1d(np.arange(len(world.words.options)), past.rows_K)
    everywhere = np.repeat(returns_N, past.words_N).mean()
    assert values[unseen] == pytest.approx(np.full(len(unseen), everywhere))


def test_exact_values_and_lambda_0_make_no_error_without_chance(world):
    sample = draws.episodes(world, 16, chance(7))
    for name in ("turn GAE, lambda 0, exact values", "POAD, 1 / 0, exact values"):
        errors = measure(sample, BY_NAME[name].credit(sample)).errors
        assert errors["token_rank"] == pytest.approx(1.0)
    errors = measure(sample, BY_NAME["turn GAE, lambda 0, exact values"].credit(sample)).errors
    assert errors["mse"] == pytest.approx(0.0, abs=1e-20)
    assert errors["rank"] == errors["sign"] == 1.0


def test_word_by_word_the_exact_decomposition_makes_no_error():
    model = build("lmenvs/DelayedKey-v0")
    world = World(model, half_way(model)[0])
    sample = draws.episodes(world, 16, chance(8))
    given = BY_NAME["POAD, 1 / 0, exact values"].credit(sample)
    assert given == pytest.approx(world.word_advantages(sample.plays.options_N), abs=1e-12)


def test_the_truth_ranks_like_itself_and_backwards_like_its_negative():
    truth = np.array([0.5, -1.0, 0.25, 0.25, 3.0])
    assert rank_correlation(truth, truth) == 1.0
    assert rank_correlation(-truth, truth) == -1.0
    assert rank_correlation(np.ones(5), truth) == 0.0


def test_equal_values_share_their_rank():
    # ranks 1.5 1.5 3 against 1 2 3: 1.5 / sqrt(1.5 * 2)
    assert rank_correlation(np.array([0.0, 0.0, 1.0]), np.arange(3.0)) == pytest.approx(0.75**0.5)


def test_errors_by_hand():
    errors = against_truth(np.array([2.0, -2.0, 0.0]), np.array([1.0, 1.0, 0.01]))
    power = (1 + 1 + 0.0001) / 3
    assert errors["sign"] == 0.5, "0.01 is too small to have a sign"
    assert errors["mse"] == pytest.approx((1 + 9 + 0.0001) / 3 / power)
    assert errors["scaled_mse"] == pytest.approx(1.0), "no factor helps: they do not go together"


def test_crediting_nothing_scores_one_and_a_wrong_scale_is_forgiven():
    truth = np.array([1.0, -2.0, 0.5])
    assert against_truth(np.zeros(3), truth)["mse"] == 1.0
    tripled = against_truth(3 * truth, truth)
    assert tripled["mse"] == pytest.approx(4.0)
    assert tripled["scaled_mse"] == pytest.approx(0.0)


def test_credit_of_a_turn_is_the_mean_over_the_words_that_were_a_choice(world):
    plays = draws.episodes(world, 2, chance(9)).plays
    words_K = np.arange(plays.words, dtype=np.float64)
    credit = turn_credit(plays, words_K)
    first = slice(0, plays.words_N[0])
    chosen = plays.chosen_K[first]
    assert credit.turns_N[0] == pytest.approx(words_K[first][chosen].mean())
    assert turn_credit(plays, np.ones(plays.turns)).words_K.tolist() == [1.0] * plays.words


def test_f_grpo_credits_the_phase_that_the_door_pays():
    model = build("lmenvs/DelayedKey-v0")
    world = World(model, half_way(model)[0])
    sample = draws.groups(world, 8, chance(13))
    given = BY_NAME["F-GRPO"].credit(sample)
    walks = np.ones(sample.plays.turns, dtype=bool)
    walks[sample.plays.starts_E] = False
    assert (given[walks] == 0.0).all(), "no step of the walk changes anything"
    assert measure(sample, given).errors["rank"] > 0.9


def test_credit_of_another_length_is_refused(world):
    plays = draws.episodes(world, 2, chance(9)).plays
    with pytest.raises(ValueError, match="credit must give one per turn or one per word"):
        turn_credit(plays, np.zeros(1))


def test_bias_and_deviation_of_gradients_by_hand():
    truth = np.array([2.0, 0.0])
    gradients = [np.array([1.0, 1.0]), np.array([1.0, -1.0])]
    found = summary([Measured({}, g) for g in gradients], truth, chance(10))
    # errors (-1, 1) and (-1, -1): their product is 0, so nothing of the mean error is sure
    assert found["bias"]["mean"] == pytest.approx(0.0)
    assert found["deviation"]["mean"] == pytest.approx(2**0.5 / 2)


def test_a_shortened_gradient_is_biased_but_not_after_scaling():
    truth = np.array([2.0, 0.0])
    found = summary([Measured({}, truth / 2)] * 3, truth, chance(11))
    assert found["bias"]["mean"] == pytest.approx(0.5)
    assert found["scaled_bias"]["mean"] == pytest.approx(0.0, abs=1e-7)
    turned = summary([Measured({}, np.array([1.0, 1.0]))] * 3, truth, chance(11))
    assert turned["scaled_bias"]["mean"] == pytest.approx(0.5**0.5), "the sine of 45 degrees"


@pytest.mark.parametrize("count", [3, 5, 12])
def test_the_interval_of_few_samples_holds_the_true_mean_in_95_of_100_cases(count):
    held = 0
    for values in chance(14, count).standard_normal((2000, count)):
        found = student_interval(values)
        held += found["low"] <= 0.0 <= found["high"]
    assert 0.94 <= held / 2000 <= 0.96


def test_equal_values_leave_no_interval():
    assert student_interval([0.1, 0.1, 0.1])["high"] == student_interval([0.1] * 3)["low"]


def test_an_interval_holds_its_mean_and_is_a_point_without_spread():
    same = [Measured({"rank": 0.5}, np.zeros(0))] * 4
    assert summary(same, np.zeros(0), chance(12))["rank"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    spread = [Measured({"rank": float(n)}, np.zeros(0)) for n in range(9)]
    found = summary(spread, np.zeros(0), chance(12))["rank"]
    assert found["low"] < found["mean"] == 4.0 < found["high"]
