from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.branching import branch
from agents.lm import LMPolicy
from agents.sampling import Sampling
from algorithms import slate
from algorithms.slate import Config, credit, draw_turns, own_turns
from lmenvs.types import Action, Episode, Turn, read_episodes
from tests.support.learners import (
    assert_first_step_is_credit_times_slope,
    by_token,
    prepared,
    under,
)
from tests.support.training import MICROWAVE, beginner, metrics, played, start

PLAIN = Config(scale="none")
TINY: dict[str, Any] = {"iterations": 2, "tasks": 3, "siblings": 2, "max_new_tokens": 8}


def episode(name: str, *rewards: float, parent: tuple[str, int] | None = None) -> Episode:
    turns = tuple(Turn("seen", Action("said"), reward) for reward in rewards)
    return Episode(name, "e", 0, "all", "i", turns, "", True, False, False, "g", parent)


def lists(advantages_ET: list[np.ndarray]) -> list[list[float]]:
    return [advantages_T.tolist() for advantages_T in advantages_ET]


FAMILY = [
    episode("a", 0, 1, 1),
    episode("a/1.0", 0, 5, parent=("a", 1)),
    episode("a/1.1", 0, 0, 0, 2, parent=("a", 1)),
    episode("a/2.0", 0, 1, 0, 3, parent=("a", 2)),
    episode("b", 4),
    episode("b/0.0", 1, 1, parent=("b", 0)),
]


def test_credit_by_hand():
    # from a's turn 1 on: 2, 5 and 2; from its turn 2 on: 1 and 3; from b's start: 4 and 2
    wanted = [[0, -1, -1], [0, 2], [0, -1, 0, 0], [0, 0, 1, 0], [1], [-1, 0]]
    assert lists(credit(FAMILY, PLAIN)) == wanted
    divided = credit(FAMILY, Config())
    assert divided[1][1] == pytest.approx(2 / 3**0.5, rel=1e-5)
    assert divided[3][2] == pytest.approx(1 / 2**0.5, rel=1e-5)


def test_what_happened_before_the_fork_changes_nothing():
    def raised(one: Episode) -> Episode:
        fork = one.parent[1] if one.parent is not None else 1
        turns = [
            replace(turn, reward=turn.reward + 7.0) if number < fork and one.id[0] == "a" else turn
            for number, turn in enumerate(one.turns)
        ]
        return replace(one, turns=tuple(turns))

    assert lists(credit([raised(one) for one in FAMILY], PLAIN)) == lists(credit(FAMILY, PLAIN))


def test_an_episode_trains_where_it_was_left_and_a_sibling_where_it_left():
    wanted = [[False, True, True], [False, True], [False, True, False, False]]
    wanted += [[False, False, True, False], [True], [True, False]]
    assert [own_T.tolist() for own_T in own_turns(FAMILY)] == wanted
    assert not own_turns([FAMILY[0]])[0].any()


@cache
def forked(forks: int | None = 9) -> list[Episode]:
    """Episodes of the small model, which is random enough, with two siblings at turns of them."""
    trunks = played(4)
    drawn = draw_turns(trunks, forks, np.random.default_rng(0))
    policy = LMPolicy(*beginner(), Sampling(max_new_tokens=8))
    return [*trunks, *branch(MICROWAVE, policy, trunks, lambda one: drawn[one.id], 2)]


@pytest.mark.parametrize("forks", [9, None])
def test_each_turn_with_siblings_is_trained_exactly_once(forks: int | None):
    episodes = forked(forks)
    own_ET = own_turns(episodes)
    by_id = {one.id: one for one in episodes}
    trained: Counter[tuple[str, int]] = Counter()
    for one, own_T in zip(episodes, own_ET, strict=True):
        for turn in np.flatnonzero(own_T).tolist():
            shared = one.parent is not None and turn < one.parent[1]
            trained[one.parent[0] if one.parent and shared else one.id, turn] += 1
    places = {one.parent for one in episodes if one.parent is not None}
    assert len(places) == (9 if forks else sum(len(one.turns) for one in played(4)))
    assert set(trained.values()) == {1}
    assert sum(own_T.sum() for own_T in own_ET) == 3 * len(places)
    assert {(name, turn) for name, turn in trained if by_id[name].parent is None} == places


def test_siblings_advantages_sum_to_zero_at_each_fork():
    sums: Counter[tuple[str, int]] = Counter()
    episodes = forked(None)
    for one, advantages_T in zip(episodes, credit(episodes, PLAIN), strict=True):
        for turn, advantage in enumerate(advantages_T.tolist()):
            sums[one.parent or (one.id, turn)] += advantage  # type: ignore[assignment]
    np.testing.assert_allclose(list(sums.values()), 0.0, atol=1e-12)
    assert len(sums) == sum(len(one.turns) for one in played(4))


def test_drawn_turns_are_distinct_and_all_as_likely():
    trunks = [episode("a", 0, 0, 0), episode("b", 0)]
    counts: Counter[tuple[str, int]] = Counter()
    for seed in range(400):
        drawn = draw_turns(trunks, 2, np.random.default_rng(seed))
        places = [(name, turn) for name, turns in drawn.items() for turn in turns]
        assert len(set(places)) == len(places) == 2
        counts.update(places)
    assert len(counts) == 4 and max(abs(count - 200) for count in counts.values()) < 40
    for forks in (None, 4, 5):
        every = draw_turns(trunks, forks, np.random.default_rng(0))
        assert every == {"a": [0, 1, 2], "b": [0]}


def test_the_first_step_is_the_credits():
    episodes = forked()
    kept = [one for one, own_T in zip(episodes, own_turns(episodes), strict=True) if own_T.any()]
    advantages_ETL = by_token(kept, credit(kept, PLAIN))
    assert_first_step_is_credit_times_slope(kept, advantages_ETL, own_turns(kept))


@pytest.mark.parametrize("how", ["centre", "standardise"])
def test_advantages_are_normalised_over_the_trained_turns_only(how: Any):
    episodes = forked()
    own_ET, advantages_ET = own_turns(episodes), credit(episodes, PLAIN)
    _, seen = prepared(episodes, under(), "nothing", trained_turns_ET=own_ET)
    shifted_ET = [advantages_T + 3.0 for advantages_T in advantages_ET]
    grid = seen.spread(shifted_ET, how)
    assert not grid[~seen.mask].any()
    per_turn = [
        turns_T[own_T]
        for turns_T, own_T in zip(
            map(first_of_each, seen.tokens.by_token(grid, len(episodes))), own_ET, strict=True
        )
    ]
    trained = np.concatenate(per_turn)
    wanted = np.concatenate(seen.trained(advantages_ET))
    wanted = wanted / wanted.std() if how == "standardise" else wanted
    np.testing.assert_allclose(trained, wanted, atol=1e-5)
    by_tokens = seen.lay_out(by_token(episodes, shifted_ET), how)
    assert not by_tokens[~seen.mask].any()
    assert float(by_tokens[seen.mask].mean()) == pytest.approx(0, abs=1e-6)


def first_of_each(numbers_TL: list[np.ndarray]) -> np.ndarray:
    return np.array([numbers_L[0] for numbers_L in numbers_TL])


def test_a_run_pays_for_its_forks_and_logs_what_it_trained(tmp_path: Path):
    config = Config(**TINY, forks=5, max_turns=4)
    run = slate.train(MICROWAVE, start(), tmp_path / "run", config)
    rows, episodes = metrics(run), list(read_episodes(run / "episodes.jsonl"))
    assert [row["rollout/episodes"] for row in rows] == [3, 3]
    assert any(row["loss/grad_norm"] > 0 for row in rows)
    assert all(row["rollout/environment_turns"] > 3 * row["rollout/turns"] + 9 for row in rows)
    assert all(row["credit/advantage_mean"] == pytest.approx(0, abs=1e-6) for row in rows)
    assert any(one.parent for one in episodes) and max(len(one.turns) for one in episodes) <= 4


@pytest.mark.parametrize("wrong", [{"forks": 0}, {"siblings": 0}, {"tasks": 0}])
def test_a_config_that_cannot_be_trained_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Config(**wrong)
