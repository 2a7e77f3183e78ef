"""Estimators that compare the plays of a group: their expected policy gradient, group by group.

All groups of three plays of one task are listed with their probabilities.
"""

from collections.abc import Hashable, Sequence
from functools import partial
from math import comb

import numpy as np
from pytest import approx

from algorithms import truth
from algorithms.credit import group_relative, leave_one_out
from algorithms.credit.beta import beta_normalised
from algorithms.credit.groups import Scale, spread
from algorithms.credit.phases import phase_factored
from algorithms.credit.trees import prefix_tree
from algorithms.credit.turn_baselines import turn_leave_one_out
from algorithms.truth import Play
from tests.support.enumeration import (
    CHAIN,
    SIZE,
    Batch,
    Scene,
    bias,
    documented_bias,
    exactly,
    expected,
    groups_of,
    scene,
)


def centred(batch: Batch) -> Sequence[np.ndarray]:
    advantages_E = group_relative(batch.returns_E, batch.groups_E, scale="none")
    return spread(advantages_E, batch.turns_E)


def test_the_list_of_groups_is_complete(of: Scene):
    plays = of.grouped.plays
    assert sum(play.probability for play in plays) == approx(1.0, abs=1e-12)
    mean = sum(play.probability * sum(play.rewards_T) for play in plays)
    assert mean == approx(of.solution.start_value, abs=1e-12)


def test_leaving_oneself_out_is_exact(of: Scene):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        return spread(leave_one_out(batch.returns_E, batch.groups_E), batch.turns_E)

    assert expected(of, of.grouped, credit) == exactly(of.gradient)


def test_leaving_oneself_out_at_every_turn_is_exact(of: Scene):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        return turn_leave_one_out(batch.rewards_ET, batch.groups_E)

    assert expected(of, of.grouped, credit) == exactly(of.gradient)


def test_leaving_oneself_out_at_every_turn_is_exact_for_a_discounted_goal_with_its_weight(
    of: Scene,
):
    def credit(batch: Batch) -> Sequence[np.ndarray]:
        advantages_ET = turn_leave_one_out(batch.rewards_ET, batch.groups_E, 0.9)
        return [
            0.9 ** np.arange(len(advantages_T)) * advantages_T for advantages_T in advantages_ET
        ]

    true = truth.true_gradient(of.env, of.policy, 0.9)
    assert expected(of, of.grouped, credit) == exactly(true)


def test_a_mean_with_oneself_in_it_is_exact_up_to_the_factor_two_thirds(of: Scene):
    assert expected(of, of.grouped, centred) == exactly(of.gradient * (SIZE - 1) / SIZE)


def test_returns_less_their_rate_under_a_flat_beta_are_exact_up_to_the_same_factor(of: Scene):
    low, high = min(of.alone.returns_E), max(of.alone.returns_E)

    def credit(batch: Batch) -> Sequence[np.ndarray]:
        rates_E = (np.array(batch.returns_E) - low) / (high - low)
        return spread(beta_normalised(rates_E, batch.groups_E, shape=(1.0, 1.0)), batch.turns_E)

    rescaled = of.gradient / (high - low)
    assert expected(of, of.grouped, credit) == exactly(rescaled * (SIZE - 1) / SIZE)


def test_the_factor_goes_with_the_size_of_the_group(of: Scene):
    assert expected(of, groups_of(of.alone.plays, 2), centred) == exactly(of.gradient / 2)


def test_a_prefix_tree_weighs_prefixes_by_how_many_share_them_and_misjudges_no_action(of: Scene):
    """After a prefix: the true advantage times (N - 1) / N + E[(n - 1) / n], n sharing it."""
    paths_E = [
        [keys_T[0], *zip(play.actions_T, play.rewards_T, strict=True)]
        for keys_T, play in zip(of.grouped.keys_ET, of.grouped.plays, strict=True)
    ]
    steps_E = [path[1:] for path in paths_E]
    credit_ET = prefix_tree(of.grouped.returns_E, steps_E, of.grouped.groups_E, scale="none")
    met: dict[tuple[object, ...], tuple[str, list[float]]] = {}
    for play, path, advantages_T in zip(of.grouped.plays, paths_E, credit_ET, strict=True):
        for turn, advantage in enumerate(advantages_T):
            key, sums = play.keys_T[turn], [0.0, 0.0]
            place = (*path[: turn + 1], play.actions_T[turn])
            _, sums = met.setdefault(place, (key, sums))
            sums[0] += play.probability
            sums[1] += play.probability * advantage
    prefixes: dict[tuple[object, ...], float] = {}
    for (*prefix, _), (_, (chance, _)) in met.items():
        prefixes[tuple(prefix)] = prefixes.get(tuple(prefix), 0.0) + chance
    for prefix, reached in prefixes.items():
        turn = len(prefix) - 1
        judged = {place[-1]: of_place for place, of_place in met.items() if place[:-1] == prefix}
        mean = sum(total for _, (_, total) in judged.values()) / reached
        share = reached / prefixes[prefix[:1]]
        factor = (SIZE - 1) / SIZE + mean_share_of_others(share)
        for action, (key, (chance, total)) in judged.items():
            gain = of.solution.advantage(key, str(action), turn)
            assert total / chance - mean == approx(factor * gain, abs=1e-8)


def mean_share_of_others(chance: float) -> float:
    """E[(n - 1) / n], each of the others in a group being there with this chance."""
    others = range(SIZE)
    return sum(
        comb(SIZE - 1, k) * chance**k * (1 - chance) ** (SIZE - 1 - k) * k / (k + 1) for k in others
    )


def test_phases_are_exact_for_their_own_returns_up_to_the_share_of_the_others_and_not_for_the_sum():
    """The corridor's doors are phases: what a door's tokens do for the reward at that door."""
    of = scene(CHAIN)

    def doors(play: Play) -> list[str]:
        return [key[0] for key in play.keys_T]

    def own(play: Play) -> dict[Hashable, float]:
        pairs = list(zip(doors(play), play.rewards_T, strict=True))
        return {door: sum(r for at, r in pairs if at == door) for door in doors(play)}

    def alone(batch: Batch) -> Sequence[np.ndarray]:
        return [np.array([own(play)[door] for door in doors(play)]) for play in batch.plays]

    def credit(batch: Batch, scale: Scale) -> Sequence[np.ndarray]:
        returns_EP = [own(play) for play in batch.plays]
        return phase_factored(returns_EP, [*map(doors, batch.plays)], batch.groups_E, scale)

    reached = [sum(p.probability for p in of.alone.plays if d in doors(p)) for d in "012"]
    factors = [mean_share_of_others(reached[int(key[0])]) for key, _ in of.table.places]
    goal = expected(of, of.alone, alone)
    assert expected(of, of.grouped, partial(credit, scale="none")) == exactly(goal * factors)
    scales: tuple[Scale, Scale] = ("none", "std")
    biases = [bias(of, of.grouped, partial(credit, scale=scale)) for scale in scales]
    assert [approx(one, abs=5e-4) for one in biases] == documented_bias(phase_factored)
