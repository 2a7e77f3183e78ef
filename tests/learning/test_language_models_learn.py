"""Tiny language models learn Microwave from a clone of random play; each in seconds on one core."""

from pathlib import Path

import numpy as np

from agents.lm import LMPolicy
from agents.models import load_model
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import reinforce, turn_ppo
from lmenvs.types import Episode
from tests.support.training import MICROWAVE, start


def player(layers: int = 1) -> Path:
    """A clone of random play: it says what is legal, and has no idea which to say."""
    if layers == 1:
        return start(hidden=32, episodes=256, epochs=24)
    return start(hidden=32, episodes=256, epochs=16, layers=layers, learning_rate=5e-3)


def play(folder: Path, episodes: int = 128) -> list[Episode]:
    policy = LMPolicy(*load_model(folder), Sampling(max_new_tokens=8))
    return collect(MICROWAVE, policy, range(episodes), policy_seed=7)


def success(folder: Path) -> float:
    return float(np.mean([one.success for one in play(folder)]))


def test_turn_ppo_solves_microwave(tmp_path: Path):
    config = turn_ppo.Config(
        iterations=16, episodes=64, learning_rate=3e-3, critic_learning_rate=3e-3, max_new_tokens=8
    )
    assert success(player()) < 0.8
    run = turn_ppo.train(MICROWAVE, player(), tmp_path / "run", config)
    assert success(run) >= 0.9


def test_reinforce_improves_on_microwave(tmp_path: Path):
    config = reinforce.Config(
        iterations=32, groups=8, group_size=8, learning_rate=1e-3, max_new_tokens=8
    )
    run = reinforce.train(MICROWAVE, player(), tmp_path / "run", config)
    assert success(run) >= success(player()) + 0.1
