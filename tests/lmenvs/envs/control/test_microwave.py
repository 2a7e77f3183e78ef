import itertools
from typing import Any

import pytest

from lmenvs.envs.control.microwave import ACTIONS, CLOSE, OPEN, PUT, Microwave, parse_action
from lmenvs.exact import solve


def play(actions: tuple[str, ...], **arguments: Any) -> tuple[list[float], bool]:
    env = Microwave(**arguments)
    env.reset(seed=0)
    rewards: list[float] = []
    for action in actions:
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(float(reward))
        assert not truncated
        if terminated:
            return rewards, bool(info["success"])
    raise AssertionError(f"{actions} did not end the episode")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        (OPEN, OPEN),
        (" Close the MICROWAVE\n", CLOSE),
        ("put  the pancake in the microwave", PUT),
        ("", None),
        ("open", None),
        ("Open the microwave.", OPEN),
        ('"open the microwave"', OPEN),
        ("I open the microwave", None),
        ("open the microwave, put the pancake in the microwave", None),
        ("open\x00the microwave", None),
    ],
)
def test_an_action_is_read_from_text(text: str, action: str | None):
    assert parse_action(text) == action


@pytest.mark.parametrize(
    ("actions", "rewards", "success"),
    [
        ((OPEN, PUT, CLOSE), [0, 0, 1], True),
        ((CLOSE, OPEN, PUT, CLOSE), [0, 0, 0, 1], True),
        ((OPEN, PUT, OPEN, OPEN, CLOSE), [0, 0, 0, 0, 1], True),
        ((OPEN, PUT, OPEN, OPEN, OPEN), [0, 0, 0, 0, -1], False),
        ((CLOSE,) * 5, [0, 0, 0, 0, -1], False),
        ((OPEN, CLOSE, "eat", PUT, PUT), [0, 0, 0, 0, -1], False),
    ],
)
def test_the_rewards_are_those_computed_by_hand(
    actions: tuple[str, ...], rewards: list[float], success: bool
):
    assert play(actions) == (rewards, success)


def test_uniform_play_is_worth_three_eighths():
    # open and close after geometric waits: success within five turns with 1/4 + 2/8 + 3/16 = 11/16
    env = Microwave()
    env.reset(seed=0)
    assert solve(env, policy="uniform").start_value == pytest.approx(11 / 16 - 5 / 16)


def test_all_sequences_of_admissible_actions_average_to_the_uniform_value():
    # brute force over the two coins of each turn, without the solver
    total = 0.0
    for coins in itertools.product((0, 1), repeat=5):
        env = Microwave()
        env.reset(seed=0)
        for coin in coins:
            actions = env.admissible_actions()
            _, reward, terminated, _, _ = env.step(actions[coin % len(actions)])
            total += float(reward)
            if terminated:
                break
    assert total / 32 == pytest.approx(0.375)


def test_the_expert_succeeds_in_three_turns():
    env = Microwave()
    env.reset(seed=0)
    rewards = [env.step(env.expert_action())[1] for _ in range(3)]
    assert rewards == [0, 0, 1]
    assert env.progress() == 1.0


def test_only_putting_is_admissible_before_the_open_microwave():
    env = Microwave()
    env.reset(seed=0)
    assert env.admissible_actions() == [OPEN, CLOSE]
    env.step(OPEN)
    assert env.admissible_actions() == [PUT]
    _, reward, terminated, _, info = env.step(CLOSE)
    assert (reward, terminated, info["valid"], info["error"]) == (0, False, False, "inadmissible")
    assert env.state_key() == "1"


def test_ending_on_an_invalid_action_is_as_bad_as_failing():
    assert play(("eat",), on_invalid="terminate") == ([-1], False)
    assert play((PUT,), on_invalid="terminate") == ([-1], False)


def test_the_observation_tells_the_state():
    env = Microwave()
    texts = [env.reset(seed=0)[0], *(env.step(action)[0] for action in (OPEN, PUT, CLOSE))]
    assert len(set(texts)) == 4


def test_the_start_is_certain_and_actions_are_three():
    ((probability, start),) = Microwave().start_states()
    env = Microwave()
    env.reset(seed=0)
    assert (probability, start.state, start.observation) == (1.0, {"state": 0}, env.observation)
    assert len(ACTIONS) == 3
