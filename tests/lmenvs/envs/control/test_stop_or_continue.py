from typing import Any

import pytest

from lmenvs.envs.control.stop_or_continue import CONTINUE, STOP, StopOrContinue, parse_action
from lmenvs.exact import solve


def play(actions: tuple[str, ...], **arguments: Any) -> tuple[list[float], bool]:
    env = StopOrContinue(**arguments)
    env.reset(seed=0)
    rewards: list[float] = []
    for action in actions:
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
        assert not truncated
        if terminated:
            return rewards, bool(info["success"])
    raise AssertionError(f"{actions} did not end the episode")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("stop", STOP),
        (" Continue\n", CONTINUE),
        ("STOP", STOP),
        ("", None),
        ("Stop.", STOP),
        ("**continue**", CONTINUE),
        ("stop?", None),
        ("stop continue", None),
        ("stop\x00", None),
        ("con tinue", None),
        ("ｓｔｏｐ", None),
        ("\ud800stop", None),
    ],
)
def test_an_action_is_read_from_text(text: str, action: str | None):
    assert parse_action(text) == action


def test_a_hundred_kilobytes_of_anything_are_no_action():
    for piece in ("stop ", "x", "\x00", "\ud800", "İ", " "):
        assert parse_action(piece * (100_000 // len(piece))) is None


@pytest.mark.parametrize(
    ("actions", "rewards", "success"),
    [
        ((STOP,), [0.5], False),
        ((CONTINUE, STOP), [0.25, 0.5], False),
        ((CONTINUE, CONTINUE, STOP), [0.25, 0.25, 0.5], False),
        ((CONTINUE, CONTINUE, CONTINUE), [0.25, 0.25, 1.0], True),
        (("hm", CONTINUE, CONTINUE), [0.0, 0.25, 1.0], True),
        ((CONTINUE, CONTINUE, "hm"), [0.25, 0.25, 0.0], False),
        (("", "\x00", "\ud800"), [0.0, 0.0, 0.0], False),
    ],
)
def test_the_rewards_are_those_computed_by_hand(
    actions: tuple[str, ...], rewards: list[float], success: bool
):
    assert play(actions) == (rewards, success)


@pytest.mark.parametrize("turns", [2, 3, 10])
def test_uniform_play_is_worth_three_quarters_whatever_the_number_of_turns(turns: int):
    # on the last turn (0.5 + 1) / 2; before it 0.5 / 2 + (0.25 + 0.75) / 2: three quarters again
    solution = solve(StopOrContinue(turns), policy="uniform")
    assert [solution.value(str(turn), turn) for turn in range(turns)] == [0.75] * turns


@pytest.mark.parametrize("turns", [2, 3, 10])
def test_the_best_play_continues_to_the_end(turns: int):
    best = 0.25 * (turns - 1) + 1.0
    assert solve(StopOrContinue(turns)).start_value == best
    assert play((CONTINUE,) * turns, turns=turns) == ([0.25] * (turns - 1) + [1.0], True)


@pytest.mark.parametrize("going_on", [0.0, 0.1, 0.5, 1.0])
def test_continuing_is_a_quarter_better_at_least_under_every_policy(going_on: float):
    solution = solve(StopOrContinue(6), policy=lambda key, actions: [1 - going_on, going_on])
    for turn in range(6):
        key = str(turn)
        gain = solution.q(key, CONTINUE, turn) - solution.q(key, STOP, turn)
        assert gain >= 0.25
        # and it is exactly a quarter for one who stops right afterwards
        assert going_on > 0.0 or turn == 5 or gain == 0.25


def test_a_lost_turn_ends_the_game_only_if_it_is_the_last_or_the_argument_says_so():
    assert play(("hm",), on_invalid="terminate") == ([0.0], False)
    assert play((CONTINUE, CONTINUE, "hm"), on_invalid="noop") == ([0.25, 0.25, 0.0], False)
    env = StopOrContinue()
    env.reset(seed=0)
    text, _, terminated, _, info = env.step("go")
    assert not terminated and info["error"] == "malformed" and not info["valid"]
    assert text.endswith("Turn 2 of 3. Stop pays 0.5, continue pays 0.25.")


def test_the_text_tells_the_turn_and_what_it_pays():
    env = StopOrContinue(2)
    assert env.reset(seed=0)[0] == "Turn 1 of 2. Stop pays 0.5, continue pays 0.25."
    assert env.step(CONTINUE)[0] == "Turn 2 of 2. Stop pays 0.5, continue pays 1."


def test_progress_is_complete_only_at_the_end():
    env = StopOrContinue(2)
    env.reset(seed=0)
    seen = [env.progress()]
    for _ in range(2):
        env.step(CONTINUE)
        seen.append(env.progress())
    assert seen == [0.0, 0.5, 1.0]
    env.reset(seed=0)
    env.step(CONTINUE)
    env.step(STOP)
    assert env.progress() == 0.5


@pytest.mark.parametrize("turns", [1, 0, -3, 1001, 2.0, "3", True, None])
def test_a_number_of_turns_that_is_none_is_refused_in_one_line(turns: Any):
    with pytest.raises(ValueError, match=r"expected a whole number from 2 to 1000") as caught:
        StopOrContinue(turns)
    assert "\n" not in str(caught.value)
