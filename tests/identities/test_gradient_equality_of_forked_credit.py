"""Estimators that play on from a state several times: forks, trees of forks, and their segments.

A fork's outcomes are enumerated like plays: what was done there, and what the rest then earned.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import nan, prod

import numpy as np
import pytest
from pytest import approx

from algorithms import truth
from algorithms.credit.segments import (
    low_probability_segments,
    probability_mask,
    segment_advantages,
    spread_segments,
)
from algorithms.credit.siblings import sibling_relative
from algorithms.credit.trees import segment_tree
from algorithms.truth import Play
from tests.support.chain import in_turns
from tests.support.enumeration import (
    BANDIT,
    CHAIN,
    KEY,
    MICROWAVE,
    SIZE,
    STOP,
    Batch,
    Scene,
    batch,
    bias,
    documented_bias,
    exactly,
    expected,
    groups_of,
    scene,
)

Place = tuple[int, str]
"""A turn and the key of its state."""


def forks(of: Scene, turns: int | None = None) -> dict[Place, list[Play]]:
    """What can be sampled from every state: an action and what is earned from there on.

    As plays of one turn; their probabilities sum to that of being there. With `turns` only the
    rewards of so many turns are counted.
    """
    found: dict[Place, dict[tuple[str, float], Play]] = {}
    for play in of.alone.plays:
        for turn, (key, action) in enumerate(zip(play.keys_T, play.actions_T, strict=True)):
            rewards_T = play.rewards_T[turn:][:turns]
            rest = round(sum(rewards_T), 12)
            outcomes = found.setdefault((turn, key), {})
            empty = Play(0.0, (key,), (action,), (rest,), True)
            known = outcomes.setdefault((action, rest), empty)
            chance = known.probability + play.probability
            outcomes[action, rest] = replace(known, probability=chance)
    return {place: list(outcomes.values()) for place, outcomes in found.items()}


def sibling_groups(of: Scene, outcomes: dict[Place, list[Play]]) -> Batch:
    """Every group of three forks from one state."""
    parts = [groups_of(plays) for plays in outcomes.values()]
    members = [play for part in parts for play in part.plays]
    return batch(members, np.repeat(np.arange(len(members) // SIZE), SIZE).tolist())


def siblings(played: Batch) -> Sequence[np.ndarray]:
    advantages_N = sibling_relative(played.returns_E, played.groups_E, scale="none")
    return list(advantages_N[:, None])


def test_siblings_with_the_returns_of_their_continuations_are_exact_up_to_two_thirds(of: Scene):
    found = expected(of, sibling_groups(of, forks(of)), siblings)
    assert found == exactly(of.gradient * (SIZE - 1) / SIZE)


def test_dividing_by_the_siblings_deviation_is_biased_as_the_docstring_says():
    def credit(played: Batch) -> Sequence[np.ndarray]:
        return list(sibling_relative(played.returns_E, played.groups_E)[:, None])

    scenes = [scene(name) for name in (MICROWAVE, STOP, KEY, CHAIN)]
    found = [approx(bias(one, sibling_groups(one, forks(one)), credit), abs=5e-4) for one in scenes]
    assert found == documented_bias(sibling_relative)


def test_siblings_with_the_reward_of_their_step_alone_are_biased_by_what_it_leads_to():
    of = scene(STOP)
    found = expected(of, sibling_groups(of, forks(of, turns=1)), siblings)
    go_on = of.table.places["0", "continue"]
    assert of.gradient[go_on] > 0.01
    assert found[go_on] < -0.01


@pytest.mark.parametrize("name", [MICROWAVE, STOP, KEY, BANDIT])
def test_segments_between_fresh_forks_are_exact(name: str):
    of = scene(name)
    outcomes = forks(of)
    members, values_ES = list[Play](), list[list[float]]()
    for play in of.alone.plays:
        places = list(enumerate(play.keys_T))
        visits = [sum(one.probability for one in outcomes[place]) for place in places]
        for drawn in product(*(outcomes[place] for place in places)):
            chances = [one.probability / visit for one, visit in zip(drawn, visits, strict=True)]
            members.append(replace(play, probability=play.probability * prod(chances)))
            earned = np.cumsum((0.0, *play.rewards_T[:-1]))
            values_ES.append([e + one.rewards_T[0] for e, one in zip(earned, drawn, strict=True)])

    def credit(played: Batch) -> Sequence[np.ndarray]:
        return segment_advantages(values_ES, played.returns_E)

    played = batch(members, range(len(members)))
    assert sum(play.probability for play in members) == approx(1.0)
    assert expected(of, played, credit) == exactly(of.gradient)


def logprobs_of(of: Scene, play: Play) -> np.ndarray:
    return np.log(of.table.chances[truth.places_of(of.table, [play])])


@pytest.mark.parametrize("count", [1, 2])
def test_segments_that_end_after_unlikely_tokens_are_exact(count: int):
    of = scene(CHAIN)

    def credit(played: Batch) -> Sequence[np.ndarray]:
        advantages_ET = []
        for play in played.plays:
            logprobs_TL = in_turns(play, logprobs_of(of, play))
            segments_TL = low_probability_segments(logprobs_TL, count, threshold=0.6)
            flat = np.concatenate(segments_TL)
            starts = np.flatnonzero(np.diff(flat, prepend=-1))
            earned = np.cumsum((0.0, *play.rewards_T))
            values_S = (truth.true_values(of.solution, play) + earned[:-1])[starts]
            (advantages_S,) = segment_advantages([values_S], [earned[-1]])
            advantages_ET.append(np.concatenate(spread_segments(advantages_S, segments_TL)))
        return advantages_ET

    assert expected(of, of.alone, credit) == exactly(of.gradient)


def test_training_the_unlikely_tokens_alone_is_biased():
    of = scene(CHAIN)

    def credit(played: Batch) -> Sequence[np.ndarray]:
        return [
            truth.true_advantages(of.solution, play)
            * np.concatenate(probability_mask([logprobs_of(of, play)], threshold=0.6))
            for play in played.plays
        ]

    assert [approx(bias(of, of.alone, credit), abs=5e-4)] == documented_bias(probability_mask)


@pytest.mark.filterwarnings("error")
def test_a_tree_is_exact_up_to_the_share_of_the_other_siblings():
    """Two turns, and from every node two siblings: all trees of up to six nodes."""
    of = scene("lmenvs/StopOrContinue-v0?turns=2")
    chance = {pair: of.table.chances[place] for pair, place in of.table.places.items()}
    both = ("stop", "continue")
    subtrees = [("stop",), *(("continue", *pair) for pair in product(both, both))]
    weights, places = [], []
    for pair in product(subtrees, repeat=2):
        parents, returns, steps = [-1], [nan], [("", "")]
        for first, *leaves in pair:
            steps.append(("0", first))
            parents.append(0)
            returns.append(nan if leaves else 0.5)
            above = len(parents) - 1
            for leaf in leaves:
                steps.append(("1", leaf))
                parents.append(above)
                returns.append(0.25 + (1.0 if leaf == "continue" else 0.5))
        likelihood = prod(chance[step] for step in steps[1:])
        for advantage, step in zip(segment_tree(returns, parents)[1:], steps[1:], strict=True):
            share = 1 / 2 if step[0] == "0" else 1 / 4  # of the nodes that could be at its depth
            weights.append(likelihood * share * advantage)
            places.append(of.table.places[step])
    found = truth.weighted_scores(of.table, np.array(places), np.array(weights))
    assert found == exactly(of.gradient / 2)
