"""A planner and an actor learn DelayedKey over a long delay; each in half a minute on one core."""

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
from algorithms import hierarchical
from lmenvs import exact
from tests.support.levels import levels, start

KEY = "lmenvs/DelayedKey-v0?delay=12&keys=3"
KEYS = ("red", "blue", "green")
SHORT: dict[str, Any] = {
    **{"iterations": 20, "episodes": 64, "learning_rate": 3e-3, "critic_learning_rate": 3e-3},
    **{"max_new_tokens": 8, "save_every": 100, "discount": 1.0, "lam": 0.97},
}


def beginner() -> Path:
    """A clone of a planner and an actor that know their game half the time."""
    return start(KEY, 5, KEYS, hidden=32, episodes=192, epochs=12, skill=0.5)


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
