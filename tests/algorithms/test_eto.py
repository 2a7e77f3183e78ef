"""ETO: what it compares, and that it learns; shared parts are tested in preferences/."""

from dataclasses import replace
from pathlib import Path

import pytest

from algorithms import eto
from algorithms.eto import Config, pairs_of
from algorithms.preferences.update import Preference
from lmenvs.types import Action, Episode, Turn, write_episodes
from tests.support.preferring import preference_gained
from tests.support.training import MICROWAVE, metrics, start

FAST = Config(iterations=2, tasks=8, group_size=4, learning_rate=3e-3, max_new_tokens=8)


def play(seed: int, reward: float) -> Episode:
    turn = Turn("o", Action("a"), reward)
    return Episode("x", "e", seed, "all", "i", (turn,), "", True, False, False, group=str(reward))


def test_failures_are_paired_with_the_best_of_their_task_whoever_played_it():
    shown, played = [play(0, 1.0)], [play(0, 0.0), play(0, 1.0), play(1, 0.0), play(1, 0.5)]
    pairs = pairs_of([*shown, *played], Config())
    assert [(p.chosen, p.rejected, p.margin) for p in pairs] == [(0, 1, 1.0), (4, 3, 0.5)]
    assert pairs_of([*shown, *played], Config(margin=0.5)) == pairs[:1]


def test_success_is_preferred_to_failure_after_a_few_iterations(tmp_path: Path):
    run = eto.train(MICROWAVE, start(), tmp_path / "run", FAST)
    assert preference_gained(run) > 0.1
    assert all(row["loss/pairs"] > 0 for row in metrics(run))


def test_each_iteration_begins_at_its_reference(tmp_path: Path):
    config = replace(FAST, epochs=1, minibatches=1, iterations=2)
    moving = metrics(eto.train(MICROWAVE, start(), tmp_path / "moving", config))
    assert [row["loss/margin"] for row in moving] == pytest.approx([0.0, 0.0], abs=1e-4)
    fixed = replace(config, preference=Preference(reference="start"))
    first, later = metrics(eto.train(MICROWAVE, start(), tmp_path / "fixed", fixed))
    assert first["loss/margin"] == pytest.approx(0.0, abs=1e-4)
    assert abs(later["loss/margin"]) > 1e-3


def demonstrations(folder: Path, env: str = MICROWAVE, split: str = "all") -> Path:
    from agents.rollout import collect

    experts = collect(MICROWAVE, "expert", range(6))
    write_episodes(folder / "d.jsonl", [replace(e, env=env, split=split) for e in experts])
    return folder / "d.jsonl"


def test_with_demonstrations_their_tasks_are_explored_and_they_are_preferred(tmp_path: Path):
    config = replace(FAST, iterations=1, group_size=2)
    data = demonstrations(tmp_path)
    run = eto.train(MICROWAVE, start(), tmp_path / "run", config, data=data)
    (row,) = metrics(run)
    assert row["rollout/episodes"] <= 12  # the demonstrations are not counted as play
    assert row["loss/return_gap"] == 2.0  # 1 of the expert, -1 of every failure


def test_demonstrations_of_another_split_are_refused(tmp_path: Path):
    data = demonstrations(tmp_path, split="test")
    with pytest.raises(ValueError, match="split test: expected tasks of .* split all"):
        eto.train(MICROWAVE, start(), tmp_path / "run", FAST, data=data)
