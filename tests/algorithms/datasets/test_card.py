import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from pytest import approx

import lmenvs
from agents.rollout import collect
from algorithms.datasets import coverage
from algorithms.datasets.card import (
    histogram,
    markdown,
    measure,
    read_made,
    write_card,
)
from algorithms.datasets.coverage import Distinct, reachable_pairs
from algorithms.datasets.make import Recipe, make_dataset
from lmenvs.types import Action, Episode, Turn, write_episodes

MICROWAVE = "lmenvs/Microwave-v0"


def _file(folder: Path, episodes: list[Episode]) -> Path:
    write_episodes(folder / "episodes.jsonl", episodes)
    return folder / "episodes.jsonl"


def test_the_numbers_of_a_card_by_hand(tmp_path: Path):
    def turn(key: str, said: str, reward: float, valid: bool = True) -> Turn:
        return Turn("", Action(said), reward, valid, state_key=key)

    def episode(seed: int, turns: tuple[Turn, ...], success: bool, cut: bool = False) -> Episode:
        return Episode(str(seed), "lmenvs/X-v0", seed, "all", "", turns, "", not cut, cut, success)

    episodes = [
        episode(0, (turn("a", "go", 0.0), turn("b", "go", 1.0)), True),
        episode(0, (turn("a", " go", 0.0), turn("a", "stay", 0.0, False)), False, cut=True),
        episode(1, (turn("a", "go", 1.0),), False),
        episode(2, (turn("b", "stay", 2.0), turn("b", "go", 1.0), turn("c", "go", 0.0)), True),
    ]
    path = _file(tmp_path, episodes)
    card = measure(path)
    assert (card.episodes, card.turns, card.tasks) == (4, 8, 3)
    assert card.histogram == [(0.0, 0.0, 1), (1.0, 1.0, 2), (3.0, 3.0, 1)]
    assert card.returns.mean == approx(1.25) and card.returns.deviation == approx(1.1875**0.5)
    assert (card.lengths.least, card.lengths.greatest, card.lengths.mean) == (1, 3, 2)
    assert (card.success, card.truncated, card.invalid) == (0.5, 0.25, 0.125)
    (one,) = card.coverage
    assert (one.turns, one.states, one.pairs, one.reachable) == (8, 3, 5, None)
    assert one.unknown == "the environment has no exact model"
    assert card.sha256 == sha256(path.read_bytes()).hexdigest()
    assert card.size == path.stat().st_size and card.made is None


def test_many_returns_fall_into_bins_that_count_every_episode():
    values = np.random.default_rng(0).normal(size=500)
    bars = histogram(values)
    assert len(bars) == 10 and sum(count for *_, count in bars) == 500
    assert bars[0][0] == values.min() and bars[-1][1] == values.max()
    low, high, count = bars[4]
    assert count == ((values >= low) & (values < high)).sum()


def test_distinct_texts_are_counted_across_merges(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(coverage, "_MERGE_AT", 7)
    counted, known = Distinct(), set[str]()
    for value in np.random.default_rng(0).integers(60, size=500).tolist():
        counted.add(str(value))
        known.add(str(value))
    assert len(counted) == len(known)
    counted.add("a", "b")
    counted.add("ab")
    assert len(counted) == len(known) + 2


@pytest.mark.parametrize(
    "name", ["lmenvs/Microwave-v0", "lmenvs/DelayedKey-v0", "lmenvs/FrozenLakeText-v0"]
)
def test_reachable_pairs_are_those_of_the_exact_solution(name: str):
    solution = lmenvs.exact.solve(name)
    times = range(solution.horizon or 1)
    expected = {
        (key, action)
        for t in times
        for key in solution.keys(t)
        for action in solution.actions(key, t)
    }
    found = list(reachable_pairs(lmenvs.make(name)))
    assert set(found) == expected and len(found) == len(expected)


def test_the_turn_limit_bounds_what_can_be_reached():
    whole = set(reachable_pairs(lmenvs.make(MICROWAVE)))
    env = lmenvs.make(MICROWAVE)
    env.turn_limit = 1
    assert {key for key, _ in reachable_pairs(env)} == {"0"} < {key for key, _ in whole}


def test_an_expert_covers_its_path_and_chance_covers_the_maze(tmp_path: Path):
    path = _file(tmp_path, collect("lmenvs/Maze-v0?layout=u", "expert", range(30)))
    (one,) = measure(path).coverage
    seen = {
        (turn.state_key, turn.action.text)
        for episode in collect("lmenvs/Maze-v0?layout=u", "expert", range(30))
        for turn in episode.turns
    }
    assert one.pairs == one.covered == len(seen) and one.reachable is not None
    assert len(seen) < one.reachable
    path = _file(tmp_path, collect("lmenvs/Maze-v0?layout=u", "random", range(30)))
    (one,) = measure(path).coverage
    assert one.covered == one.reachable


def test_texts_that_are_no_action_are_pairs_but_cover_nothing(tmp_path: Path):
    (episode,) = collect(MICROWAVE, "expert", [0])
    odd = replace(
        episode, turns=tuple(replace(turn, action=Action("sing")) for turn in episode.turns)
    )
    (one,) = measure(_file(tmp_path, [odd])).coverage
    assert one.pairs == len(odd.turns) and one.covered == 0


def test_without_recorded_states_coverage_is_unknown(tmp_path: Path):
    path = _file(tmp_path, collect(MICROWAVE, "expert", [0], record=False))
    (one,) = measure(path).coverage
    assert one.turns == 0 and one.covered is None and "no turn" in str(one.unknown)


def test_a_card_is_read_back_only_for_the_same_bytes(tmp_path: Path):
    recipe = Recipe(MICROWAVE, (("random", 1.0),), episodes=5)
    card = make_dataset(recipe, tmp_path / "a")
    path = tmp_path / "a" / "episodes.jsonl"
    assert read_made(path) == card.made is not None
    assert measure(path, read_made(path)) == card
    text = path.read_text()
    path.write_text(text.replace("open", "OPEN"))
    assert read_made(path) is None
    path.write_text(text)
    (tmp_path / "a" / "card.json").write_text("[]")
    assert read_made(path) is None


def test_the_page_has_the_numbers(tmp_path: Path):
    card = make_dataset(Recipe(MICROWAVE, (("random", 1.0),), episodes=5), tmp_path / "a")
    page = (tmp_path / "a" / "card.md").read_text()
    assert page == markdown(card) + "\n"
    assert card.sha256 in page and f"| random | 0 to 4 | {card.returns.mean:.3f} |" in page
    raw = json.loads((tmp_path / "a" / "card.json").read_text())
    assert raw["episodes"] == 5 and raw["made"]["settings"]["seed"] == 0
    write_card(card, tmp_path)
    assert (tmp_path / "card.md").read_text() == page


def test_an_empty_file_has_no_card(tmp_path: Path):
    with pytest.raises(ValueError, match="expected episodes, got an empty file"):
        measure(_file(tmp_path, []))
