"""Jericho on real games, which do not come with the package.

LMENVS_JERICHO_GAMES names a folder of story files that jericho knows, such as zork1.z5.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmenvs
from lmenvs.envs.engines.replay import REPLAYS
from tests.contract.hostile_text import hostile_texts

jericho: Any = pytest.importorskip("jericho")

FOLDER = os.environ.get("LMENVS_JERICHO_GAMES", "")
GAMES = sorted(Path(FOLDER).glob("*.z[3-8]")) if FOLDER else []
if not GAMES:
    pytest.skip("needs LMENVS_JERICHO_GAMES, a folder of games", allow_module_level=True)

pytestmark = pytest.mark.parametrize("path", GAMES, ids=lambda path: path.stem)
WAIT = 5.0


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No story may write a file, wherever Python runs."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []
    REPLAYS.forget()


def make(path: Path, **arguments: Any) -> Any:
    return lmenvs.make("lmenvs/Jericho-v0", path=str(path), turn_limit=10_000, **arguments)


def steps_of(path):
    """jericho's walkthrough, and the score that it reaches there."""
    story = jericho.FrotzEnv(str(path))
    if not story.is_fully_supported:
        pytest.skip("jericho does not know this file")
    walkthrough = story.get_walkthrough()
    for step in walkthrough:
        if story.step(step)[2]:
            break
    return walkthrough, story.get_score()


def test_the_expert_wins_with_the_score_that_jerichos_walkthrough_reaches(path):
    walkthrough, score = steps_of(path)
    env = make(path)
    env.reset(seed=0)
    total, done, info = env._state.score, False, {}
    while not done and env.turn < len(walkthrough) + 5:
        _, reward, done, _, info = env.step(env.expert_action())
        assert info["valid"]
        total += reward
    assert done and info["success"] and total == score and env.progress() == 1.0


def test_a_snapshot_in_the_middle_is_played_on_the_same_elsewhere(path):
    walkthrough, _ = steps_of(path)
    env = make(path)
    env.reset(seed=0)
    for _ in range(len(walkthrough) // 2):
        env.step(env.expert_action())
    snapshot, key = env.snapshot(), env.state_key()
    told = _play(env, env.expert_action())
    REPLAYS.forget()
    other = make(path)
    other.restore(snapshot)
    assert other.state_key() == key
    assert _play(other, other.expert_action()) == told


def _play(env, first):
    told = []
    for action in (first, "look", "inventory", "wait"):
        told.append(env.step(action)[:3])
        if told[-1][2]:
            break
    return told


def test_listed_actions_are_valid_and_listing_them_changes_nothing(path):
    steps_of(path)
    env = make(path)
    env.reset(seed=0)
    key = env.state_key()
    listed = env.admissible_actions()
    assert listed == sorted(set(listed or ())) and env.state_key() == key
    for action in listed[:10]:
        snapshot = env.snapshot()
        assert env.step(action)[4]["valid"]
        env.restore(snapshot)
    assert env.state_key() == key


def test_any_text_is_answered_at_once(path):
    env = make(path)
    env.reset(seed=0)
    texts = ["x" * 198, "restorx", "transcripx", "\\s", "take \\x", "$verify", "#record", "n, save"]
    words = ["take", "open", "all", "north", "lamp", "say hello", "look at me"]
    for text in (*texts, *hostile_texts(np.random.default_rng(0), words, 300)):
        before = time.thread_time()
        _, _, done, _, info = env.step(text)
        assert time.thread_time() - before < WAIT, text[:50]
        assert text not in texts[1:] or info["valid"] is False
        if done:
            env.reset()


def test_a_story_that_saves_or_undoes_writes_nothing_and_does_not_crash(path):
    world = make(path)._find_game(None).open()
    for command in ("save", "undo", "look", "undo", "save", "look"):
        world.run(command)  # below the check of the player's words
    assert world.begin().text
