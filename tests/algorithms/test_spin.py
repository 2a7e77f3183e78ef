"""SPIN: what it compares, and that it comes to play as was demonstrated."""

from dataclasses import replace
from pathlib import Path

from agents.rollout import collect
from algorithms import spin
from algorithms.preferences.pairs import Pair
from algorithms.spin import Config, pairs_of
from lmenvs.types import Action, Episode, Turn
from tests.support.preferring import preference
from tests.support.training import MICROWAVE, metrics, played, start

FAST = Config(iterations=2, tasks=12, demonstrations=24, learning_rate=3e-3, max_new_tokens=8)


def play(said: str, seed: int, reward: float = 0.0) -> Episode:
    turns = tuple(Turn("o", Action(letter), reward) for letter in said)
    return Episode(said, MICROWAVE, seed, "all", "i", turns, "", True, False, False)


def test_a_demonstration_is_preferred_to_any_other_play_of_its_task():
    shown = [play("ab", 0), play("cd", 1), play("ef", 0)]
    played = [play("ab", 0), play("xx", 0, 3.0), play("xx", 1)]
    # what was said is the same in the first; the second earned more, which nobody reads
    assert pairs_of(shown, played) == [Pair(0, 4, -6.0), Pair(1, 5, 0.0)]


def test_the_experts_play_is_preferred_to_the_beginners(tmp_path: Path):
    run = spin.train(MICROWAVE, start(), tmp_path / "run", FAST)
    sides = collect(MICROWAVE, "expert", [0]), played(24, group_size=4)
    assert preference(run, *sides) > preference(start(), *sides) + 1.0
    assert metrics(run)[0]["rollout/episodes"] <= FAST.tasks


def test_what_was_demonstrated_grows_likelier_than_own_play(tmp_path: Path):
    config = replace(FAST, iterations=1, epochs=4)
    (row,) = metrics(spin.train(MICROWAVE, start(), tmp_path / "run", config))
    assert row["loss/log_ratio_chosen"] > row["loss/log_ratio_rejected"]
