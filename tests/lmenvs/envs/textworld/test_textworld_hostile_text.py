import os

import pytest

from lmenvs.envs.textworld.play import PLAYER
from tests.lmenvs.envs.textworld.playing import make

META = (
    "restart",
    "quit",
    "q",
    "save",
    "restore",
    "undo",
    "script",
    "transcript",
    "verify",
    "again",
)
META += ("g", "oops", "goal", "help", "print_state", "tw-trace-actions", "restrict commands", "y")
UNSAFE = ("\0", "look\0", "look\nlook", "lo\nok", "\ud800", "a" * 201, "\x1b", "look\u2028l")


@pytest.mark.parametrize("action", META)
def test_a_meta_verb_is_an_ordinary_invalid_action(action, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = make()
    env.reset(seed=0)
    key = env.state_key()
    text, reward, terminated, truncated, info = env.step(action)
    assert (info["valid"], info["error"]) == (False, "malformed")
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert env.state_key() == key and text
    first = env.step(env.expert_action())
    other = make()
    other.reset(seed=0)
    assert other.step(other.expert_action())[0] == first[0]
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("action", UNSAFE)
def test_text_the_engine_cannot_take_never_reaches_it(action):
    env = make()
    first, _ = env.reset(seed=0)
    misses = PLAYER.misses
    _, reward, _, _, info = env.step(action)
    assert (info["valid"], info["error"], reward) == (False, "unsafe", 0.0)
    assert PLAYER.misses == misses
    assert env.step("look")[0] in first  # the next answer is not one turn late


def test_invalid_texts_are_told_apart():
    env = make()
    env.reset(seed=0)
    for action, error in [
        ("", "malformed"),
        ("   ", "malformed"),
        ("dance", "malformed"),
        ("take", "malformed"),
        ("go", "inadmissible"),
        ("go east. go west", "malformed"),
        ("go nowhere", "inadmissible"),
        ("take coin", "inadmissible"),
        ("drop coin", "inadmissible"),
    ]:
        assert env.step(action)[4]["error"] == error, action


def test_a_question_of_the_interpreter_is_forgotten():
    env = make(turn_limit=20)
    env.reset(seed=0)
    assert env.step("take")[4]["error"] == "malformed"
    assert (
        env.step("coin")[4]["error"] == "malformed"
    )  # not the answer to "what do you want to take?"


def test_synonyms_are_valid():
    env = make(turn_limit=40)
    for seed in range(3):
        env.reset(seed=seed)
        while True:
            action = env.expert_action()
            short = action[3] if action.startswith("go ") else "get coin"
            _, _, done, _, info = env.step(short)
            assert info["valid"]
            if done:
                break
        assert info["success"]


def test_looking_is_valid_and_changes_nothing():
    env = make()
    env.reset(seed=1)
    key = env.state_key()
    for action in ("look", "l", "inventory", "i"):
        _, reward, done, _, info = env.step(action)
        assert info["valid"] and reward == 0.0 and not done and env.state_key() == key


def test_every_listed_action_is_valid_and_changes_the_state():
    env = make()
    for seed in range(10):
        env.reset(seed=seed)
        here = env.snapshot()
        actions = env.admissible_actions() or []
        assert actions == sorted(actions) and actions
        for action in actions:
            env.restore(here)
            key = env.state_key()
            assert env.step(action)[4]["valid"]
            assert env.state_key() != key
