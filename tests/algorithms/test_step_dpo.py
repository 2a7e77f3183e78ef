"""Step-level DPO: where it forks, what it compares, and that it learns."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.branching import branch
from algorithms import step_dpo
from algorithms.preferences.pairs import Pair
from algorithms.preferences.update import Preference
from algorithms.step_dpo import Config, forked_turns, pairs_of
from lmenvs.exact import solve
from lmenvs.types import Episode
from tests.support.preferring import preference_gained
from tests.support.training import MICROWAVE, metrics, played, start

FAST = Config(iterations=1, epochs=6, tasks=8, siblings=4, learning_rate=3e-3, max_new_tokens=8)


def test_turns_to_fork_are_different_and_within_the_episode():
    episodes = played()
    at = forked_turns(episodes, 3, np.random.default_rng(0))
    for episode in episodes:
        turns = at[episode.id]
        assert turns == sorted(set(turns)) and len(turns) == min(3, len(episode.turns))
        assert turns[0] >= 0 and turns[-1] < len(episode.turns)
    assert len({tuple(turns) for turns in at.values()}) > 1


def forks() -> list[Episode]:
    return branch(MICROWAVE, "random", played(), [0], k=12)


def test_the_compared_actions_were_taken_in_one_state():
    ways = forks()
    pairs = pairs_of(ways, Config())
    assert pairs
    for pair in pairs:
        one, other = ways[pair.chosen], ways[pair.rejected]
        assert one.parent == other.parent and (pair.first, pair.turns) == (0, 1)
        assert one.turns[0].action.text != other.turns[0].action.text


def test_with_many_siblings_the_better_action_is_chosen():
    exact = solve(MICROWAVE, policy="uniform")
    ways = branch(MICROWAVE, "random", played(2), [0], k=64)
    pairs = pairs_of(ways, Config())
    assert len(pairs) == 2
    for pair in pairs:
        values = [
            exact.q(str(turn.state_key), turn.action.text, 0)
            for turn in (ways[pair.chosen].turns[0], ways[pair.rejected].turns[0])
        ]
        assert values[0] - values[1] == pytest.approx(pair.margin, abs=0.4)
        assert values[0] > values[1]


def test_with_the_rest_whole_ways_are_compared():
    ways = forks()
    pairs = pairs_of(ways, Config(span="rest"))
    assert pairs and all(pair.turns is None and pair.first == 0 for pair in pairs)
    assert {pair.margin for pair in pairs} == {2.0}


def test_a_way_that_took_no_turn_of_its_own_is_left_out():
    ways = forks()[:12]
    none = replace(ways[0], turns=(), truncated=True, terminated=False)
    shifted = [replace(p, chosen=p.chosen + 1, rejected=p.rejected + 1) for p in of(ways)]
    assert of([none, *ways]) == shifted


def of(ways: Sequence[Episode]) -> list[Pair]:
    return pairs_of(ways, Config())


@pytest.mark.parametrize("span", ["turn", "rest"])
def test_success_is_preferred_to_failure_after_a_few_steps(span: Any, tmp_path: Path):
    config = replace(FAST, span=span, preference=Preference(sft_weight=0.0))
    run = step_dpo.train(MICROWAVE, start(), tmp_path / "run", config)
    assert preference_gained(run) > 0.1
    assert all(
        row["rollout/episodes"] == 8 for row in metrics(run)
    )  # forks are not counted as play


@pytest.mark.parametrize("fields", [{"siblings": 1}, {"span": "x"}])
def test_settings_that_compare_nothing_are_refused(fields: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Config(**fields)
