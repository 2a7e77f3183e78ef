"""Demonstrations shorten the search: exact returns on Microwave, turns spent on a frozen lake."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from algorithms import behaviour_cloning, chord, dr_po, rlgf, rloo
from algorithms.chord import Mix
from algorithms.trainer.objective import Objective
from tests.support.returns import expected_return
from tests.support.training import MICROWAVE, metrics, start

SHORT: dict[str, Any] = {"iterations": 10, "groups": 8, "group_size": 6, "max_new_tokens": 8}
SHORT |= {"learning_rate": 5e-3}


def player() -> Path:
    """A clone of random play: it says what is legal, and has no idea which to say."""
    return start(hidden=32, episodes=256, epochs=24)


def test_chord_earns_all_there_is_on_microwave(tmp_path: Path):
    assert expected_return(player(), MICROWAVE) < 0.5
    run = chord.train(MICROWAVE, player(), tmp_path / "run", chord.Config(**SHORT))
    assert expected_return(run, MICROWAVE) > 0.9


@pytest.mark.slow
def test_the_others_earn_more_than_they_began_with(tmp_path: Path):
    before = expected_return(player(), MICROWAVE)
    longer: dict[str, Any] = {**SHORT, "iterations": 16}
    runs = {
        "dr_po": dr_po.train(MICROWAVE, player(), tmp_path / "dr_po", dr_po.Config(**longer)),
        "relift": chord.train(
            MICROWAVE, player(), tmp_path / "relift", chord.Config(**longer, method="relift")
        ),
    }
    for method in ("ppo++", "aggrevated"):
        config = rlgf.Config(**longer, method=method)
        runs[method] = rlgf.train(MICROWAVE, player(), tmp_path / method, config)
    for name, run in runs.items():
        assert expected_return(run, MICROWAVE) > before + 0.15, name


LAKE = "lmenvs/FrozenLakeText-v0?slippery=false&turns=16"
WANTED = 0.5  # of the episodes from the start reach the goal, over three iterations
SEEDS = (0, 1, 2)
_KEPT: list[TemporaryDirectory[str]] = []  # a folder that lives as long as the tests do


@cache
def skater() -> Path:
    """A clone of random play on the lake, which reaches the goal in 3 of 100 episodes."""
    _KEPT.append(TemporaryDirectory(prefix="lmenvs-tests-"))
    clone = behaviour_cloning.Config(
        demonstrator="random", episodes=256, epochs=12, learning_rate=5e-3, batch_size=16
    )
    config = behaviour_cloning.TinyConfig(hidden=32, layers=2, heads=2, context=1024, clone=clone)
    return behaviour_cloning.pretrain(LAKE, Path(_KEPT[-1].name) / "start", config)


def turns_to_success(run: Path, shown: int = 0) -> float:
    """Environment turns until the policy has learned, those of the demonstrations included."""
    rows = metrics(run)
    turns = np.cumsum([row["rollout/environment_turns"] for row in rows]) + shown
    success = [row["rollout/success"] for row in rows]
    for last in range(2, len(rows)):
        if np.mean(success[last - 2 : last + 1]) >= WANTED:
            return float(turns[last])
    return np.inf


def lake_settings(seed: int, budget: int) -> dict[str, Any]:
    settings: dict[str, Any] = {"seed": seed, "iterations": 400, "turn_budget": budget}
    settings |= {"groups": 8, "group_size": 8, "learning_rate": 3e-3, "max_new_tokens": 6}
    return settings | {"save_every": 1000, "objective": Objective()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_on_a_lake_a_demonstration_saves_most_of_the_search(seed: int, tmp_path: Path):
    settings = lake_settings(seed, 20_000)
    alone = rloo.train(LAKE, skater(), tmp_path / "rloo", rloo.Config(**settings))
    settings = lake_settings(seed, 10_000)
    mixed = chord.Config(**settings, demonstrations=8, experts=8, mix=Mix(peak=0.5, decay=30))
    run = chord.train(LAKE, skater(), tmp_path / "chord", mixed)
    assert turns_to_success(run, shown=8 * 6) < 0.5 * min(20_000, turns_to_success(alone))
