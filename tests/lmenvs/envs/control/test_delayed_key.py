from typing import Any

import pytest

from lmenvs.envs.control.delayed_key import (
    COLOURS,
    DISTRACTORS,
    WALK,
    DelayedKey,
    parse_action,
)
from lmenvs.exact import Solution, solve


def play(actions: list[str], key: str = "blue", **arguments: Any) -> tuple[list[float], bool]:
    env = DelayedKey(**arguments)
    env.reset(seed=0, options={"key": key})
    rewards: list[float] = []
    for action in actions:
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
        assert not truncated
        if terminated:
            return rewards, bool(info["success"])
    raise AssertionError(f"{actions} did not end the episode")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("take the red key", "red"),
        (" Take  the\nGOLDEN key", "golden"),
        ("take blue key", "blue"),
        ("silver key", "silver"),
        ("black", "black"),
        ("walk on", WALK),
        ("HUM A TUNE", "hum a tune"),
        ("look at the pictures", "look at the pictures"),
        ("", None),
        ("take", None),
        ("take the key", None),
        ("take the pink key", None),
        ("Take the red key.", "red"),
        ("**red**", "red"),
        ("I take the red key", None),
        ("red blue", None),
        ("take the\x00red key", None),
        ("walk", None),
        ("\ud800", None),
    ],
)
def test_an_action_is_read_from_text(text: str, meaning: str | None):
    assert parse_action(text) == meaning


def test_a_hundred_kilobytes_of_anything_are_no_action():
    for piece in ("take the ", "red ", "x", "\x00", "\ud800", "İ", " "):
        assert parse_action(piece * (100_000 // len(piece))) is None


@pytest.mark.parametrize(
    ("actions", "rewards", "success"),
    [
        (["take the blue key", WALK, WALK], [0, 0, 1], True),
        (["blue", "hum a tune", "look at the pictures"], [0, 0, 1], True),
        (["take the red key", WALK, WALK], [0, 0, 0], False),
        (["take the blue key", "hm", WALK], [0, -0.1, 1], True),
        (["take the blue key", WALK, "hm"], [0, 0, 0.9], True),
        (["take the red key", WALK, "hm"], [0, 0, -0.1], False),
        (["hm", WALK, WALK], [-0.1, 0, 0], False),
        (["hm", "blue", WALK], [-0.1, -0.1, 0], False),
    ],
)
def test_the_rewards_are_those_computed_by_hand(
    actions: list[str], rewards: list[float], success: bool
):
    assert play(actions, delay=2) == (rewards, success)


@pytest.mark.parametrize("delay", [0, 1, 5, 30])
def test_the_reward_comes_exactly_delay_turns_after_the_key(delay: int):
    env = DelayedKey(delay)
    assert env.turn_limit == delay + 1
    rewards, success = play(["blue"] + [WALK] * delay, delay=delay)
    assert rewards == [0.0] * delay + [1.0] and success


def policy(key: str, actions: list[str]) -> list[float]:
    """Neither uniform nor good, and different from turn to turn."""
    weights = [1.0 + (len(key) + 3 * number) % 5 for number in range(len(actions))]
    return [weight / sum(weights) for weight in weights]


def corridor(solution: Solution, delay: int) -> list[tuple[str, int]]:
    return [(key, turn) for turn in range(1, delay + 1) for key in solution.keys(turn)]


@pytest.mark.parametrize("kind", ["optimal", "uniform", policy])
def test_the_advantage_is_that_of_the_key_and_zero_on_every_turn_after_it(kind: Any):
    delay, keys = 4, 5
    solution = solve(DelayedKey(delay, keys), policy=kind)
    places = corridor(solution, delay)
    assert len(places) == 2 * delay
    for key, turn in places:
        assert solution.actions(key, turn) == list(DISTRACTORS)
        assert {solution.advantage(key, action, turn) for action in DISTRACTORS} == {0.0}
    for start, chance in solution.start_states.items():
        assert chance == pytest.approx(1 / keys)
        right = start.removeprefix("0 ")
        for action in solution.actions(start):
            assert solution.q(start, action) == float(f" {right} " in action)
        gain = solution.advantage(start, f"take the {right} key")
        assert gain == pytest.approx(1.0 - solution.value(start))
        assert (gain > 0.1) == (kind != "optimal")


def test_a_discount_shrinks_the_value_once_for_every_turn_of_the_delay():
    for delay in (0, 3, 7):
        solution = solve(DelayedKey(delay, keys=2), discount=0.9, policy="uniform")
        assert solution.start_value == pytest.approx(0.5 * 0.9**delay)


def test_the_first_text_tells_the_right_key_and_no_later_text_does():
    texts: dict[str, list[str]] = {}
    for key in ("red", "blue"):
        env = DelayedKey(2)
        texts[key] = [env.reset(seed=0, options={"key": key})[0]]
        texts[key] += [env.step(action)[0] for action in (f"take the {key} key", WALK, WALK)]
    assert texts["red"][0] == (
        "On a table lie 3 keys: red, blue and green. A sign says: the red key opens the door."
    )
    assert texts["red"][0] != texts["blue"][0]
    assert texts["red"][1:] == texts["blue"][1:]


@pytest.mark.parametrize(
    ("first", "then", "errors"),
    [
        ("hm", "hm", ["malformed", "malformed"]),
        ("golden", "blue", ["unknown", "inadmissible"]),
        (WALK, "golden key", ["inadmissible", "inadmissible"]),
        ("blue", "take the red key", [None, "inadmissible"]),
    ],
)
def test_what_is_wrong_with_an_action_is_told_by_its_category(
    first: str, then: str, errors: list[str | None]
):
    env = DelayedKey()
    env.reset(seed=0, options={"key": "blue"})
    assert [env.step(action)[4]["error"] for action in (first, then)] == errors


def test_an_invalid_action_costs_a_tenth_nothing_or_the_game():
    actions = ["blue", "hm", WALK]
    assert play(actions, delay=2, on_invalid="noop") == ([0, 0, 1], True)
    assert play(actions, delay=2, on_invalid="terminate") == ([0, -0.1], False)


def test_the_key_of_the_last_episode_does_not_open_the_next_ones_door():
    env = DelayedKey(delay=1)
    for first, paid in (("blue", 1.0), ("hm", 0.0)):
        env.reset(seed=0, options={"key": "blue"})
        assert env.progress() == 0.0
        env.step(first)
        assert env.step(WALK)[1] == paid


def test_every_colour_is_the_right_one_for_some_seed_and_the_expert_finds_it():
    env, seen = DelayedKey(delay=1, keys=8), set[str]()
    for seed in range(100):
        env.reset(seed=seed)
        seen.add(env.state_key())
        env.step(env.expert_action())
        _, reward, terminated, _, info = env.step(env.expert_action())
        assert (reward, terminated, info["success"], env.progress()) == (1.0, True, True, 1.0)
    assert seen == {f"0 {colour}" for colour in COLOURS}


@pytest.mark.parametrize(
    "arguments",
    [{"delay": -1}, {"delay": 1001}, {"delay": 1.5}, {"keys": 1}, {"keys": 9}, {"keys": "two"}],
)
def test_an_argument_out_of_range_is_refused_in_one_line(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match=r"expected a whole number from \d to \d+") as caught:
        DelayedKey(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["pink", "golden", 3, ["red"]])
def test_a_key_that_is_not_on_the_table_is_refused(key: Any):
    with pytest.raises(ValueError, match="expected a colour on the table"):
        DelayedKey().reset(seed=0, options={"key": key})
