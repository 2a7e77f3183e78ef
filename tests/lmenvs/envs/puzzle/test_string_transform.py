from typing import Any

import numpy as np
import pytest

import lmenvs
from lmenvs import NoExactModel
from lmenvs.envs.puzzle.string_functions import (
    FUNCTIONS,
    GROWTH,
    MEANINGS,
    NAMES,
    applied,
    candidates,
    content,
    parse_letters,
    written,
)
from lmenvs.envs.puzzle.string_transform import StringTransform
from lmenvs.exact import solve
from lmenvs.measuring import measure
from lmenvs.splits import split_of
from lmenvs.testing import check_env


def begun(seed: int = 0, **arguments: Any) -> StringTransform:
    env = StringTransform(**arguments)
    env.reset(seed=seed)
    return env


@pytest.mark.parametrize(
    ("name", "five", "six", "one"),
    [
        ("f1", "zgbea", "fzgbea", "e"),
        ("f2", "ebgza", "ebgzfa", "e"),
        ("f3", "zaebg", "faebgz", "e"),
        ("f4", "zebga", "febgza", "e"),
        ("f5", "bfcha", "bfchag", "f"),
        ("f6", "zdafy", "zdafye", "d"),
        ("f7", "eibgz", "eibgzf", "i"),
        ("f8", "abegz", "abefgz", "e"),
        ("f9", "eagbz", "eagbfz", "e"),
        ("f10", "abzeg", "abzegf", "e"),
        ("f11", "aaebgz", "aaebgzf", "ee"),
        ("f12", "aebgzzgbea", "aebgzffzgbea", "ee"),
    ],
)
def test_each_function_does_by_hand_what_it_says(name: str, five: str, six: str, one: str):
    function = FUNCTIONS[NAMES.index(name)]
    assert (function("aebgz"), function("aebgzf"), function("e")) == (five, six, one)


def test_vowels_turn_into_the_next_vowel():
    assert FUNCTIONS[NAMES.index("f7")]("aeioux") == "eiouax"


def test_no_function_empties_a_string_or_makes_it_more_than_twice_as_long():
    for text in ("a", "zz", "hello", "q" * 99):
        for function in FUNCTIONS:
            result = function(text)
            assert 1 <= len(result) <= GROWTH * len(text)
            assert result.isascii() and result.isalpha() and result.islower()


def test_functions_are_different_and_have_different_meanings():
    assert len({tuple(f(t) for t in ("aebgzf", "house", "xx")) for f in FUNCTIONS}) == 12
    assert len(set(MEANINGS)) == len(NAMES) == 12


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("abc", "abc"),
        (" ABC\n", "abc"),
        ('"abc"', "abc"),
        ("**abc**.", "abc"),
        ("answer: **abc**", "abc"),
        ("...abc", None),
        ("'abc'.", "abc"),
        ("f1(cba) = abc", "abc"),
        ("f2(f1(abc)) = f2(cba) = bac", "bac"),
        ("Answer: abc", "abc"),
        ("result: 'abc'", "abc"),
        ("answer", "answer"),
        ("answer abc", None),
        ("", None),
        ("a b", None),
        ("ab1", None),
        ("äb", None),
        ("ａｂ", None),
        ("a\x00b", None),
        ("\ud800", None),
        ("abcdefghijk", None),
        (" " * 300 + "abc", None),
    ],
)
def test_letters_are_read_from_text(text: str, letters: str | None):
    assert parse_letters(text, 10) == letters


def test_a_composition_is_written_with_the_last_function_outermost():
    composition = (NAMES.index("f1"), NAMES.index("f11"))
    assert written(composition, "abc") == "f11(f1(abc))"
    assert applied(composition, "abc") == "ccba"
    assert content(composition) == "f1 f11"


def test_candidates_are_what_the_functions_give():
    assert set(candidates("aebgz")) == {function("aebgz") for function in FUNCTIONS}
    assert candidates("aa") == ("aa", "aaa", "aaaa", "bb", "ee", "zz")


def test_a_slip_is_not_told_before_the_end_and_is_carried_on():
    env = begun(3)
    told, reward, terminated, _, info = env.step("wrong")
    assert "Now: f" in told and told.endswith("(wrong) = ?")
    assert (reward, terminated, info["valid"]) == (0.0, False, True)
    assert info["optimal_actions"] != ["wrong"]
    env.step(env.expert_action())
    told, reward, terminated, _, info = env.step(env.expert_action())
    assert terminated and reward == 0.0 and info["success"] is False
    assert env.progress() == pytest.approx(2 / 3)


def test_dense_rewards_pay_for_each_function():
    env = begun(3, reward="dense", depth=4)
    rewards = [env.step(env.expert_action())[1], env.step("wrong")[1]]
    rewards += [env.step(env.expert_action())[1] for _ in range(2)]
    assert rewards == [0.25, 0.0, 0.25, 0.25]


@pytest.mark.parametrize("mode", ["stepwise", "whole"])
@pytest.mark.parametrize("reward", ["sparse", "dense"])
def test_the_expert_earns_one(mode: Any, reward: Any):
    env = StringTransform(mode=mode, reward=reward, depth=4, pool=None)
    for seed in range(20):
        env.reset(seed=seed)
        answer, text, terminated, total, info = env.answer(), "", False, 0.0, {}
        while not terminated:
            text, paid, terminated, _, info = env.step(env.expert_action())
            total += paid
        assert total == 1.0 and info["success"] and env.progress() == 1.0
        assert f"Your result is {answer}." in text


def test_the_answer_is_hidden_until_it_is_given():
    env = begun(0, mode="whole", pool=None)
    for seed in range(50):
        first, _ = env.reset(seed=seed)
        told = env.step("?")[0]
        assert env.answer() not in (first + told).replace(written(env._left, env._text), "")


def test_the_longest_strings_are_answers_and_no_longer_ones():
    env = begun(0, depth=6, length=16)
    assert env.step("a" * 33)[4]["error"] == "malformed"
    for turn in range(1, 7):
        if turn > 1:
            assert len(env.expert_action()) <= 16 * 2**turn
        assert env.step("a" * 16 * 2**turn)[4]["valid"]
    whole = begun(0, depth=2, length=2, mode="whole")
    assert whole.step("a" * 9)[4]["error"] == "malformed"


def test_the_exact_values_are_those_counted_by_hand():
    # f8 (sorting) of a string: the uniform player is right as often as one candidate in all
    env = StringTransform(depth=1, pool=8)
    by_hand = 0.0
    for probability, start in env.start_states():
        env.restore(start)
        by_hand += probability / len(env.admissible_actions())
    assert solve(env, policy="uniform").start_value == pytest.approx(by_hand)
    assert solve(env).start_value == 1.0


def test_a_slip_leaves_nothing_to_win_and_the_solver_knows_it():
    env = StringTransform(depth=2, pool=4)
    solution = solve(env)
    for probability, start in env.start_states():
        env.restore(start)
        key, right = env.state_key(), env.expert_action()
        assert probability == 0.25 and solution.value(key) == 1.0
        for action in solution.actions(key):
            assert solution.advantage(key, action) == (0.0 if action == right else -1.0)


def test_uniform_play_agrees_with_its_exact_value():
    name = "lmenvs/StringTransform-v0?depth=1&pool=32"
    exact, found = measure(name, "uniform").value, measure(name, "random:1500")
    assert abs(found.value - exact) < 4 * found.error


@pytest.mark.parametrize("pool", [256, None])
def test_train_never_shows_a_composition_of_test(pool: int | None):
    drawn: dict[str, set[str]] = {}
    for split in ("train", "test"):
        env = StringTransform(depth=2, pool=pool, split=split)
        drawn[split] = set()
        for seed in range(200):
            env.reset(seed=seed)
            drawn[split].add(content(env._left))
        assert all(split_of(text) == split for text in drawn[split])
    assert not drawn["train"] & drawn["test"] and min(map(len, drawn.values())) > 40


def test_hidden_names_are_not_explained():
    plain = begun(describe=False).instructions
    assert not any(meaning in plain for meaning in MEANINGS)
    assert all(f"{n} {m}." in begun().instructions for n, m in zip(NAMES, MEANINGS, strict=True))


def test_fresh_tasks_keep_the_contract_but_have_no_list_of_starts():
    name = "lmenvs/StringTransform-v0?depth=2&pool=null&split=test"
    check_env(name)
    with pytest.raises(NoExactModel, match="give pool=N"):
        lmenvs.make(name).start_states()


def test_the_first_tasks_never_change_within_a_version():
    env = lmenvs.make("lmenvs/StringTransform-v0?mode=whole")
    starts = [snapshot.observation for _, snapshot in env.start_states()[:2]]
    assert starts == ["f1(f2(f1(wvxhp))) = ?", "f3(f9(f5(cghzy))) = ?"]


def test_letters_are_drawn_from_the_whole_alphabet():
    env, seen = StringTransform(length=16, pool=None), set[str]()
    for seed in range(40):
        env.reset(seed=seed)
        seen |= set(env._text)
    assert len(seen) == 26 and np.unique([len(env._text)]).tolist() == [16]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"depth": 7}, "depth=7; expected a whole number from 1 to 6"),
        ({"length": 1}, "length=1; expected a whole number from 2 to 16"),
        ({"describe": "no"}, "describe='no'; expected True or False"),
        ({"mode": "all"}, "expected one of 'stepwise', 'whole'"),
        ({"reward": "big"}, "expected one of 'sparse', 'dense'"),
        ({"pool": -1}, "pool=-1; expected"),
        ({"pool": 1, "split": "test"}, "split='test' holds none of pool=1 tasks"),
        ({"split": "dev"}, "split='dev'; expected"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments: dict[str, Any], match: str):
    with pytest.raises(ValueError, match=match) as caught:
        StringTransform(**arguments)
    assert "\n" not in str(caught.value)
