import math
from itertools import permutations

import pytest

from lmenvs import NoExactModel
from lmenvs.envs.bandit.arms import count_orders, orders_of
from lmenvs.envs.bandit.bernoulli import BernoulliBandit
from lmenvs.exact import solve


def test_two_outcomes_of_a_pull_are_its_chances_and_leave_the_player_where_it_was():
    env = BernoulliBandit(means=[0.75, 0.25], context="summary")
    env.reset(seed=0)
    before = env.snapshot()
    outcomes = env.outcomes(env.answer())
    assert [(p, reward, ended) for p, _, reward, ended in outcomes] == [
        (0.75, 1.0, False),
        (0.25, 0.0, False),
    ]
    assert env.snapshot() == before
    for _, after, reward, _ in outcomes:
        env.restore(after)
        assert f"Reward: {reward:g}." in env.observation
        assert env.turn == 1
    env.restore(before)
    assert [(p, reward) for p, _, reward, _ in env.outcomes("hm")] == [(1.0, 0.0)]


def test_a_certain_arm_has_one_outcome():
    env = BernoulliBandit(means=[1.0, 0.0])
    env.reset(seed=0)
    assert [len(env.outcomes(name)) for name in env.admissible_actions()] == [1, 1]


def test_orders_are_all_distinct_and_as_many_as_counted():
    for values in ([0.1, 0.2, 0.3], [0.5, 0.5, 0.1, 0.1], [0.3] * 4):
        orders = list(orders_of(values))
        assert len(set(orders)) == len(orders) == count_orders(values)
        assert all(sorted(order) == sorted(values) for order in orders)


def test_too_many_orders_are_refused_with_their_number():
    env = BernoulliBandit(means=[number / 20 for number in range(9)])
    with pytest.raises(NoExactModel, match="362880 orders"):
        env.start_states()


def test_who_sees_everything_always_pulls_the_best_arm():
    env = BernoulliBandit(means=[0.8, 0.3, 0.3], horizon=6)
    env.reset(seed=0)
    assert solve(env).start_value == pytest.approx(6 * 0.8)
    assert solve(env, policy="uniform").start_value == pytest.approx(6 * 1.4 / 3)


def bayes_value(chances: tuple[float, float], likelihood: tuple[float, float], left: int) -> float:
    """The best expected reward when one of two arms has each chance, by hand-written recursion.

    likelihood[i]: how likely the past is (and prior) if arm i is the good one.
    """
    if left == 0:
        return 0.0
    good, bad = chances
    values: list[float] = []
    for arm in (0, 1):
        pays = [good if which == arm else bad for which in (0, 1)]
        total = 0.0
        for reward in (1, 0):
            after = [
                weight * (pay if reward else 1 - pay)
                for weight, pay in zip(likelihood, pays, strict=True)
            ]
            total += reward * sum(after) + bayes_value(chances, (after[0], after[1]), left - 1)
        values.append(total)
    return max(values)


def test_a_player_who_must_find_out_reaches_the_bayes_value():
    env = BernoulliBandit(means=[0.9, 0.3], horizon=4)
    env.reset(seed=0)
    value = solve(env, information="observation").start_value
    assert value == pytest.approx(bayes_value((0.9, 0.3), (0.5, 0.5), 4))
    assert 4 * 0.6 < value < 4 * 0.9


def posterior_value(
    means: tuple[float, ...], wins: tuple[int, ...], losses: tuple[int, ...], left: int
) -> float:
    """The best expected reward of a player who has seen these counts; by listing the orders."""
    if left == 0:
        return 0.0
    weights = {
        order: math.prod(
            chance**won * (1 - chance) ** lost
            for chance, won, lost in zip(order, wins, losses, strict=True)
        )
        for order in permutations(means)
    }
    total = sum(weights.values())
    if total == 0.0:
        return 0.0  # these counts cannot come about
    values: list[float] = []
    for arm in range(len(means)):
        chance = sum(weight * order[arm] for order, weight in weights.items()) / total
        won = tuple(count + (index == arm) for index, count in enumerate(wins))
        lost = tuple(count + (index == arm) for index, count in enumerate(losses))
        values.append(
            chance * (1 + posterior_value(means, won, losses, left - 1))
            + (1 - chance) * posterior_value(means, wins, lost, left - 1)
        )
    return max(values)


@pytest.mark.parametrize(
    ("means", "horizon"), [((0.9, 0.3), 5), ((0.75, 0.25, 0.4), 4), ((1.0, 0.5, 0.25), 4)]
)
def test_the_belief_optimum_is_dynamic_programming_over_counts(
    means: tuple[float, ...], horizon: int
):
    env = BernoulliBandit(means=list(means), horizon=horizon)
    env.reset(seed=0)
    zeros = (0,) * len(means)
    value = solve(env, information="observation").start_value
    assert value == pytest.approx(posterior_value(means, zeros, zeros, horizon))
