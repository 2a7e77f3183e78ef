"""ALFWorld on its real data, which does not come with the package.

LMENVS_ALFWORLD_DATA names ALFWorld's folder json_2.1.1.
"""

import os
import time
from typing import Any

import numpy as np
import pytest

import lmenvs
from lmenvs.envs.engines.alfworld import TASKS
from lmenvs.envs.engines.replay import REPLAYS
from lmenvs.testing import check_env

FOLDER = os.environ.get("LMENVS_ALFWORLD_DATA", "")
if not FOLDER:
    pytest.skip("needs LMENVS_ALFWORLD_DATA, ALFWorld's json_2.1.1", allow_module_level=True)
pytest.importorskip("fast_downward")

GAMES = 4  # of each part and task
PLAN = 5.0  # seconds of processor time for any plan; the whole room would need up to minutes


@pytest.fixture(autouse=True)
def forget():
    yield
    REPLAYS.forget()


def make(split: str, task: str) -> Any:
    return lmenvs.make("lmenvs/ALFWorld-v0", data=FOLDER, split=split, tasks=[task])


def follow(env):
    """Play the expert to the end: whether each turn was progress, and how many there were."""
    turns, done, reward, info, known = 0, False, 0.0, {}, env.progress()
    while not done and turns < 40:
        _, reward, done, _, info = env.step(env.expert_action())
        assert info["valid"] and env.progress() >= known
        turns, known = turns + 1, env.progress()
    assert done and info["success"] and reward == 1.0 and known == 1.0
    return turns


@pytest.mark.parametrize("split", ["train", "valid_seen", "valid_unseen"])
@pytest.mark.parametrize("task", TASKS)
def test_the_expert_needs_about_as_many_turns_as_the_datas_own_walkthrough(split, task):
    env = make(split, task)
    for seed in range(GAMES):
        text, _ = env.reset(seed=seed)
        assert "Your task is to: " in text
        walkthrough = env._shelf.sheet(env.game.name)["walkthrough"]
        before = time.process_time()
        assert len(str(env.answer()).split(", ")) <= len(walkthrough) + 2
        assert time.process_time() - before < PLAN
        follow(env)
        env.reset(seed=seed)
        info = {}
        for command in walkthrough:
            assert command in env.admissible_actions()
            *_, info = env.step(command)
        assert info["success"]


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_finds_back_from_anywhere(task):
    env = make("test", task)
    chance = np.random.default_rng(0)
    for seed in range(GAMES):
        env.reset(seed=seed)
        for _ in range(8):
            acts = [text for text in env.admissible_actions() if text.count(" ")]
            if not acts or env.step(acts[int(chance.integers(len(acts)))])[2]:
                break
        else:
            follow(env)


def test_the_parts_have_alfworlds_numbers_of_games():
    counts = {
        split: sum(len(make(split, task)._names) for task in TASKS)
        for split in ("train", "valid_seen", "valid_unseen")
    }
    assert counts == {"train": 3553, "valid_seen": 140, "valid_unseen": 134}


def test_the_contract_is_kept():
    check_env(lmenvs.make("lmenvs/ALFWorld-v0", data=FOLDER, split="valid_unseen"))
