"""The arrays of the credit benchmark say what `lmenvs.exact` and `algorithms.truth` say."""

import numpy as np
import pytest

from agents.tabular import TabularSoftmaxPolicy
from algorithms import truth
from algorithms.bench.credit import draws
from algorithms.bench.credit.environments import ENVIRONMENTS, SMALLER
from algorithms.bench.credit.estimators import ESTIMATORS
from algorithms.bench.credit.measures import measure
from algorithms.bench.credit.plays import greedy_chances, play
from algorithms.bench.credit.words import STOP, spelled
from algorithms.bench.credit.world import World, build, half_way
from lmenvs.exact import solve
from lmenvs.registration import TABLE

STOPPING, MICROWAVE = "lmenvs/StopOrContinue-v0?turns=4", "lmenvs/Microwave-v0"
BY_NAME = {estimator.name: estimator for estimator in ESTIMATORS}


def world_of(env: str) -> World:
    model = build(env)
    return World(model, half_way(model)[0])


def table_of(world: World) -> TabularSoftmaxPolicy:
    """The same policy, as a table over actions."""
    model = world.model
    logits: dict[str, dict[str, float]] = {}
    solution = solve(MICROWAVE if "microwave" in model.keys[0] else STOPPING, policy="uniform")
    for situation, state in enumerate(model.states.tolist()):
        options = slice(*model.first_option[situation : situation + 2])
        actions = solution.actions(model.keys[state], int(model.turns[situation]))
        logits[model.keys[state]] = dict(
            zip(actions, np.log(world.chances_O[options]).tolist(), strict=True)
        )
    return TabularSoftmaxPolicy(logits)


def test_values_and_advantages_are_those_of_the_solver():
    world = world_of(STOPPING)
    solution = solve(STOPPING, policy=table_of(world))
    model = world.model
    for situation, state in enumerate(model.states.tolist()):
        key, turn = model.keys[state], int(model.turns[situation])
        assert world.values_I[situation] == pytest.approx(solution.value(key, turn))
        options = slice(*model.first_option[situation : situation + 2])
        q = [solution.q(key, action, turn) for action in solution.actions(key, turn)]
        assert world.q_O[options] == pytest.approx(q)
    assert model.start_value(world.values_I) == pytest.approx(solution.start_value)


def test_the_policy_is_half_way_between_uniform_and_optimal_play():
    for env in (STOPPING, MICROWAVE, "lmenvs/DelayedKey-v0"):
        world = world_of(env)
        ends = [solve(env, policy=policy).start_value for policy in ("uniform", "optimal")]
        found = world.model.start_value(world.values_I)
        assert found == pytest.approx(sum(ends) / 2, abs=1e-6)


def test_with_actions_of_one_word_the_gradient_is_that_of_the_table_over_actions():
    world = world_of(STOPPING)
    expected = truth.true_gradient(STOPPING, table_of(world))
    found = world.true_gradient[world.words.options[world.words.rows] > 1]
    assert found == pytest.approx(expected, abs=1e-8)


def test_the_true_gradient_is_that_of_finite_differences_in_the_words():
    world = world_of(MICROWAVE)
    words, step = world.words, 1e-6

    def worth(entry: int, change: float) -> float:
        logits = np.log(world.chances_P)
        logits[entry] += change
        chances = np.exp(logits) / np.bincount(words.rows, np.exp(logits))[words.rows]
        chances_A = np.multiply.reduceat(chances[words.entries], words.first_word[:-1])
        values, _ = world.model.values(chances_A[world.actions_O])
        return world.model.start_value(values)

    slopes = [
        (worth(entry, step) - worth(entry, -step)) / (2 * step) for entry in range(len(words.rows))
    ]
    assert world.true_gradient == pytest.approx(slopes, abs=1e-7)


def test_the_advantages_of_an_actions_words_add_up_to_the_actions():
    world = world_of("lmenvs/DelayedKey-v0")
    options = np.arange(len(world.chances_O))
    lengths = world.words.lengths[world.actions_O]
    sums = np.add.reduceat(world.word_advantages(options), np.cumsum(lengths) - lengths)
    assert sums == pytest.approx(world.advantages_O, abs=1e-12)


def test_a_trie_has_one_row_for_each_prefix_and_its_chances_multiply_to_the_actions():
    words = spelled([["go left", "go right", "go"]])
    assert words.lengths.tolist() == [3, 3, 2], f"{STOP} is a word"
    assert words.options.tolist() == [1, 3, 1, 1], "after nothing, go, go left, go right"
    chances = words.chances(np.array([0.5, 0.25, 0.25]))
    product = np.multiply.reduceat(chances[words.entries], words.first_word[:-1])
    assert product == pytest.approx([0.5, 0.25, 0.25])


def test_two_actions_of_the_same_words_are_refused():
    with pytest.raises(ValueError, match="two actions with the words"):
        spelled([["go left", "go  left"]])


def test_sampled_returns_have_the_exact_mean():
    world = world_of(MICROWAVE)
    plays = play(world, np.zeros(20_000, dtype=np.intp), np.random.default_rng(0))
    error = plays.returns_E.std() / len(plays.returns_E) ** 0.5
    exact = world.model.start_value(world.values_I)
    assert abs(plays.returns_E.mean() - exact) < 4 * error
    assert plays.turns / len(plays.turns_E) == pytest.approx(world.turns_per_episode, rel=0.02)


def test_greedy_play_takes_one_likeliest_action_everywhere():
    world = world_of(MICROWAVE)
    chances = greedy_chances(world)
    first = world.model.first_option[:-1]
    assert np.add.reduceat(chances, first).tolist() == [1.0] * len(first)
    likeliest = np.maximum.reduceat(world.chances_O, first)
    assert world.chances_O[chances == 1.0] == pytest.approx(likeliest)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("Monte Carlo", 1.0),
        ("identical credit", 1.0),
        ("RLOO", 1.0),
        ("Dr. GRPO", 7 / 8),
        ("MT-GRPO, left one out", 1.0),
        ("ReMax", 1.0),
        ("SPO-chain", 1.0),
        ("SPO-tree", 2 / 3),
        ("turn GAE, lambda 0.95, exact values", 1.0),
        ("POAD, 1 / 0, exact values", 1.0),
        ("SLATE, exact judge, no std", 3 / 4),
    ],
)
@pytest.mark.parametrize("env", [STOPPING, MICROWAVE])
def test_the_mean_gradient_of_an_exact_estimator_is_the_true_one(env, name, factor):
    world, estimator = world_of(env), BY_NAME[name]
    units = 64 if estimator.draw == "groups" else 200
    gradients = []
    for number in range(40):
        sample = draws.DRAWS[estimator.draw](world, units, np.random.default_rng((7, number)))
        gradients.append(measure(sample, estimator.credit(sample)).gradient)
    errors = np.std(gradients, axis=0, ddof=1) / len(gradients) ** 0.5
    missed = np.abs(np.mean(gradients, axis=0) - factor * world.true_gradient)
    assert (missed <= 5 * errors + 1e-9).all()


def test_the_foil_is_biased_where_stopping_is_a_choice():
    world, estimator = world_of(STOPPING), BY_NAME["per-turn-index mean"]
    gradients = []
    for number in range(40):
        sample = draws.DRAWS["groups"](world, 64, np.random.default_rng((7, number)))
        gradients.append(measure(sample, estimator.credit(sample)).gradient)
    mean = np.mean(gradients, axis=0)
    assert truth.cosine(mean, world.true_gradient) < 0.9


def test_every_exact_environment_is_measured_or_said_to_be_smaller():
    ids = {env.partition("?")[0] for env in ENVIRONMENTS.values()}
    assert ids == {spec.id for spec in TABLE.values() if "exact" in spec.tags}
    assert SMALLER.keys() <= ENVIRONMENTS.keys()


def test_an_environment_that_is_too_large_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="more than 5 situations; give a smaller"):
        build(MICROWAVE, most=5)
