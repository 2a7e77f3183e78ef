from typing import Any

import numpy as np
import pytest

import lmenvs
from lmenvs.envs.puzzle.calculation_rules import (
    apply,
    candidates,
    carry_out,
    draw,
    next_operation,
    parse_number,
    sizes_of,
    sloppy,
    value_of,
    written,
)
from lmenvs.envs.puzzle.random_calculation import RandomCalculation
from lmenvs.splits import split_of


def begun(seed: int = 0, **arguments: Any) -> RandomCalculation:
    env = RandomCalculation(**arguments)
    env.reset(seed=seed)
    return env


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        (" -42\n", -42),
        ("− 42", -42),
        ("+42", None),
        ("0", 0),
        ("-0", 0),
        ("007", 7),
        ("1,234,567", 1234567),
        ("12,34", None),
        ("1,,234", None),
        (",123", None),
        ("42.", 42),
        ("4.2", None),
        (".5", None),
        ("**42**", 42),
        ("'-42'.", -42),
        ("The answer is **8**.", 8),
        ("ANSWER IS 8", 8),
        ("$8", None),
        ("1e3", None),
        ("= 42", 42),
        ("3 + 5 = 8", 8),
        ("3 + 5 = 8 = 9", 9),
        ("3 + 5 =", None),
        ("Answer: 8", 8),
        ("The answer is 8.", 8),
        ("result is -8", -8),
        ("answer", None),
        ("8 or 9", None),
        ("eight", None),
        ("", None),
        ("٤٢", None),
        ("４２", None),
        ("²", None),
        ("4\x002", None),
        ("\ud8002", None),
        ("--2", None),
        ("9" * 301, None),
        ("9" * 300, int("9" * 300)),
    ],
)
def test_a_number_is_read_from_text(text: str, number: int | None):
    assert parse_number(text) == number


def test_expressions_are_written_and_valued_as_python_does():
    generator = np.random.default_rng(0)
    shapes: set[str] = set()
    for _ in range(200):
        expression = draw(generator, 4, 99, "+-*")
        text = written(expression)
        assert eval(text) == value_of(expression), text  # a text made here
        shapes.add("".join(c for c in text if c in "()+-*"))
    assert len(shapes) > 100


def test_carrying_out_every_operation_in_turn_gives_the_value():
    generator = np.random.default_rng(1)
    for _ in range(50):
        expression = draw(generator, 6, 999, "+-*")
        sizes, left, done = sizes_of(expression), expression, 0
        while len(left) > 1:
            place = next_operation(left)
            one, other, sign = left[place - 2 : place + 1]
            result = apply(int(one), str(sign), int(other))
            assert abs(result) < 10 ** (3 * sizes[done])  # the bound on answers lets it pass
            left, done = carry_out(left, place, result), done + 1
        assert left == (value_of(expression),) and done == 6
        assert sizes[-1] == 7


def test_candidates_hold_the_right_result_and_stay_in_bounds():
    assert candidates(3, "*", 5, 100) == ["-2", "2", "5", "8", "14", "15", "16", "25"]
    assert candidates(9, "*", 9, 82) == ["0", "18", "71", "80", "81"]


def test_a_slip_is_not_told_before_the_end_and_is_carried_on():
    env = begun(3, steps=3)
    right, wrong = begun(3, steps=3), int(env.expert_action()) + 1
    told, reward, terminated, _, info = env.step(str(wrong))
    expected, *_ = right.step(right.expert_action())
    assert told == expected.replace(str(wrong - 1), str(wrong))
    assert (reward, terminated, info["valid"]) == (0.0, False, True)
    assert info["optimal_actions"] == [str(wrong - 1)]
    env.step(env.expert_action())
    told, reward, terminated, _, info = env.step(env.expert_action())
    assert terminated and reward == 0.0 and info["success"] is False
    assert told.endswith("Not all of it is right.")
    assert env.progress() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("reward", "expected"), [("sparse", [0, 0, 0, 0]), ("dense", [0.25, 0, 0.25, 0.25])]
)
def test_the_rewards_of_a_slip_are_those_computed_by_hand(reward: Any, expected: list[float]):
    env = begun(5, reward=reward)
    rewards: list[float] = []
    for turn in range(4):
        answer = int(env.expert_action()) + (turn == 1)
        rewards.append(env.step(str(answer))[1])
    assert rewards == expected


@pytest.mark.parametrize("mode", ["stepwise", "whole"])
@pytest.mark.parametrize("reward", ["sparse", "dense"])
def test_the_expert_earns_one(mode: Any, reward: Any):
    env = RandomCalculation(mode=mode, reward=reward, steps=8, digits=3)
    for seed in range(10):
        env.reset(seed=seed)
        terminated, total, info = False, 0.0, {}
        while not terminated:
            _, paid, terminated, _, info = env.step(env.expert_action())
            total += paid
        assert total == 1.0 and info["success"] and env.progress() == 1.0


def test_a_whole_answer_is_graded_by_its_distance():
    for slip, expected in ((0, 1.0), (1, 0.5 * (1 - 1 / 12)), (-3, 0.375), (12, 0.0), (80, 0.0)):
        env = _twelve()
        _, reward, terminated, _, info = env.step(str(12 + slip))
        assert terminated and reward == pytest.approx(expected)
        assert info["success"] == (slip == 0)
    env = _twelve("sparse")
    assert env.step("13")[1] == 0.0


def _twelve(reward: Any = "dense") -> RandomCalculation:
    """A puzzle whose value is 12."""
    env = RandomCalculation(mode="whole", steps=1, digits=1, operations="+", reward=reward)
    for seed in range(1000):
        env.reset(seed=seed)
        if env.answer() == "12":
            return env
    raise AssertionError("no seed gives 12")


def test_an_answer_may_have_as_many_digits_as_a_result_could():
    env = begun(0, steps=2, digits=2)
    assert env.step("10000")[4]["error"] == "malformed"
    assert env.step("-10000")[4]["error"] == "malformed"
    assert env.step("9999")[4]["valid"]
    assert env.step("1000000")[4]["error"] == "malformed"
    assert begun(0, steps=2, digits=2).step("9" * 100)[0].startswith("That has too many digits.")


def test_numbers_stay_small_whatever_is_carried_on():
    env = begun(0, steps=20, digits=6)
    terminated = False
    while not terminated:
        largest = max((env.admissible_actions()), key=len)
        text, _, terminated, _, info = env.step(largest)
        assert info["valid"] and len(text) < 1000


def test_an_unreadable_answer_uses_its_turn():
    env = begun(0, steps=2)
    rewards = [env.step(text)[1] for text in ("hm", "", "?")]
    assert rewards == [-0.1] * 3 and env.turn == 3
    text, _, terminated, _, info = env.step("0")
    assert terminated and info["success"] is False and text.endswith("No turns are left.")


def test_the_last_turn_can_still_succeed():
    env = begun(0, steps=1)
    env.step("hm")
    assert env.step(env.expert_action())[4]["success"] is True


def test_every_seed_has_its_own_expression_and_the_splits_do_not_meet():
    drawn: dict[str, set[str]] = {}
    for split in ("train", "test"):
        env = RandomCalculation(mode="whole", split=split)
        texts = [env.reset(seed=seed)[0].removesuffix(" = ?") for seed in range(150)]
        assert all(split_of(text) == split for text in texts)
        drawn[split] = set(texts)
        assert len(drawn[split]) == 150
    assert not drawn["train"] & drawn["test"]


def test_operations_and_digits_are_those_asked_for():
    env = RandomCalculation(mode="whole", operations="-", digits=1, steps=3)
    texts = [env.reset(seed=seed)[0] for seed in range(50)]
    assert not any(set(text) & set("+*") for text in texts)
    assert {part for text in texts for part in text if part.isdigit()} == set("123456789")


def test_the_first_expressions_never_change_within_a_version():
    texts = [lmenvs.make("lmenvs/RandomCalculation-v0?mode=whole").reset(seed=s)[0] for s in (0, 1)]
    assert texts == ["85 - (64 + ((51 * 27) - 31)) = ?", "47 * ((51 + 75) * (95 - 4)) = ?"]


def test_the_sloppy_player_is_right_four_times_in_five():
    env, generator = RandomCalculation(steps=1), np.random.default_rng(0)
    right = 0
    for seed in range(1000):
        env.reset(seed=seed)
        right += bool(env.step(sloppy(env, generator))[4]["success"])
    assert abs(right - 800) < 4 * (1000 * 0.8 * 0.2) ** 0.5


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"steps": 0}, "steps=0; expected a whole number from 1 to 20"),
        ({"steps": 2.0}, "steps=2.0; expected"),
        ({"digits": 7}, "digits=7; expected a whole number from 1 to 6"),
        ({"operations": ""}, "expected one to nine of the signs"),
        ({"operations": "+/"}, "expected one to nine of the signs"),
        ({"operations": ["+"]}, "expected one to nine of the signs"),
        ({"mode": "all"}, "expected one of 'stepwise', 'whole'"),
        ({"reward": "big"}, "expected one of 'sparse', 'dense'"),
        ({"split": "dev"}, "split='dev'; expected"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments: dict[str, Any], match: str):
    with pytest.raises(ValueError, match=match) as caught:
        RandomCalculation(**arguments)
    assert "\n" not in str(caught.value)
