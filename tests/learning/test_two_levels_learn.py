"""A planner and an actor learn DelayedKey over a long delay, and houses of TextWorld."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import make_policy
from agents.hierarchical import TwoLevels
from agents.lm import LMPolicy
from agents.models import load_model
from agents.protocols import Policy
from agents.rollout import collect
from agents.sampling import Sampling
from algorithms import behaviour_cloning, hierarchical, vsc_rl
from lmenvs import exact
from tests.support.levels import AnyOf, Heading, cloned, levels, start

KEY = "lmenvs/DelayedKey-v0?delay=12&keys=3"
KEYS = ("red", "blue", "green")
SHORT: dict[str, Any] = {
    **{"iterations": 40, "episodes": 64, "learning_rate": 3e-3, "critic_learning_rate": 3e-3},
    **{"max_new_tokens": 8, "save_every": 100, "discount": 1.0, "lam": 0.97},
}


def beginner() -> Path:
    """A clone of a planner and an actor that know their game half the time."""
    return start(5, KEY, KEYS, skill=0.5, hidden=32, episodes=192, epochs=12)


def worth(policy: Policy) -> float:
    played = collect(KEY, policy, range(128), policy_seed=7)
    return float(np.mean([one.total_reward for one in played]))


@pytest.mark.slow
def test_two_levels_come_near_the_exact_optimum(tmp_path: Path):
    optimum = exact.solve(KEY).start_value
    model = LMPolicy(*load_model(beginner()), Sampling(max_new_tokens=8))
    before = worth(TwoLevels(model, model, levels(every=5)))
    config = hierarchical.Config(hierarchy=levels(every=5), **SHORT)
    run = hierarchical.train(KEY, beginner(), tmp_path / "run", config)
    after = worth(make_policy(f"hf:{run}", max_new_tokens=8))
    assert before < 0.6 * optimum and after >= 0.85 * optimum


COIN = "lmenvs/TextWorldCoinCollector-v0?admissible=true&description=name&level=104&games=8"
HEADINGS = ("north", "east", "south", "west")


LEVELS = {
    "both": (hierarchical, levels(), 0.9),
    "the planner alone": (hierarchical, levels(actor="frozen"), 0.5),
    "the actor, VSC-RL": (vsc_rl, levels(planner="frozen"), 0.9),
}


@pytest.mark.slow
@pytest.mark.parametrize("trained", LEVELS)
def test_two_levels_learn_where_to_head_in_the_houses_of_textworld(trained: str, tmp_path: Path):
    algorithm, hierarchy, enough = LEVELS[trained]
    model = LMPolicy(*load_model(random_headings()), Sampling(max_new_tokens=8))
    before = success(TwoLevels(model, model, levels()))
    config = algorithm.Config(hierarchy, iterations=20, max_new_tokens=8, save_every=100)
    run = algorithm.train(COIN, random_headings(), tmp_path / "run", config)
    after = success(make_policy(f"hf:{run}", max_new_tokens=8))
    assert 0.25 < before < 0.45 and after > enough


@cache
def random_headings() -> Path:
    """A clone of one who names any direction for two turns, and one who goes there where he can."""
    clone = behaviour_cloning.Config(epochs=4, observation_weight=0.1)
    tiny = behaviour_cloning.TinyConfig(hidden=96, layers=2, context=1024, clone=clone)
    return cloned(COIN, AnyOf(HEADINGS), Heading(), 2, 1000, tiny)


def success(policy: Policy) -> float:
    """In the houses that are trained in: there are eight."""
    played = collect(COIN, policy, range(128), split="train", policy_seed=7)
    return float(np.mean([one.success for one in played]))
