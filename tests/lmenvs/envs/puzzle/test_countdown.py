from typing import Any

import numpy as np
import pytest

import lmenvs
from lmenvs import NoExactModel
from lmenvs.envs.puzzle.countdown import Countdown, random_expression
from lmenvs.envs.puzzle.countdown_puzzles import check_items, content, draw, pool_of
from lmenvs.envs.puzzle.countdown_rules import plan
from lmenvs.exact import solve
from lmenvs.measuring import measure
from lmenvs.splits import split_of
from lmenvs.testing import check_env


def played(actions: tuple[str, ...], **arguments: Any) -> tuple[list[float], bool | None]:
    env = Countdown(**arguments)
    env.reset(seed=0)
    rewards: list[float] = []
    success = None
    for action in actions:
        _, reward, terminated, _, info = env.step(action)
        rewards.append(reward)
        if terminated:
            success = info["success"]
            break
    return rewards, success


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_every_generated_puzzle_can_be_solved_but_not_in_one_step_if_it_has_more(count: int):
    generator = np.random.default_rng(count)
    for _ in range(20):
        numbers, target = draw(generator, count, 20)
        steps = plan(numbers, target)
        assert len(numbers) == count and 10 <= target <= 100 and max(numbers) <= 20
        assert steps is not None and min(2, count - 1) <= len(steps) < count


def test_the_first_puzzles_never_change_within_a_version():
    first = [content(item) for item in pool_of(4, 20, 3)]
    assert first == ["5 17 18 19 = 28", "3 3 9 15 = 21", "7 9 9 12 = 54"]


def test_a_longer_pool_begins_with_the_shorter_one_and_repeats_nothing():
    short, long = pool_of(3, 20, 50), pool_of(3, 20, 200)
    assert long[:50] == short and len(set(long)) == 200
    assert len(pool_of(2, 10, 5000)) < 100  # so many exist


@pytest.mark.parametrize(
    ("actions", "rewards", "success"),
    [
        (("5 * 3", "15 + 7"), [0, 1], True),
        (("7+3", "10-5"), [0, 0], False),
        (("3 - 5", "2 + 2", "hm", "5 * 3"), [-0.1, -0.1, -0.1, 0], False),
        (("hm", "", "5 * 3 = 15", "7 + 15 = 22"), [-0.1, -0.1, 0, 1], True),
    ],
)
def test_the_rewards_are_those_computed_by_hand(
    actions: tuple[str, ...], rewards: list[float], success: bool
):
    assert played(actions, items=[[[3, 5, 7], 22]]) == (rewards, success)


def test_invalid_steps_cost_nothing_under_noop_and_end_it_under_terminate():
    items = [[[3, 5, 7], 22]]
    assert played(("hm", "5 * 3", "15 + 7"), items=items, on_invalid="noop") == ([0, 0, 1], True)
    assert played(("hm", "5 * 3"), items=items, on_invalid="terminate") == ([-0.1], False)


def test_an_expression_may_leave_numbers_out_and_pass_through_fractions():
    items = [[[3, 3, 8, 8], 24]]
    assert played(("8 / (3 - 8 / 3)",), mode="expression", items=items) == ([1], True)
    assert played(("3 * 8",), mode="expression", items=items) == ([1], True)
    assert played(("8 + 8",), mode="expression", items=items) == ([0], False)
    tried = played(("8 + 8", "hm", "3 * 8"), mode="expression", tries=3, items=items)
    assert tried == ([0, -0.1, 1], True)


def test_progress_is_nothing_once_the_target_is_out_of_reach():
    env = Countdown(items=[[[3, 5, 7], 22]])
    env.reset(seed=0)
    start = env.snapshot()
    seen = [env.progress()]
    for action in ("5 * 3", "15 + 7"):
        env.step(action)
        seen.append(env.progress())
    assert seen == [0.0, 0.5, 1.0]
    env.restore(start)
    env.step("7 - 3")
    assert plan((4, 5), 22) is None and env.progress() == 0.0


def test_the_exact_values_are_those_counted_by_hand():
    # 2 6 -> 4: only 6 - 2 of the four steps (8, 4, 12, 3)
    env = Countdown(items=[[[2, 6], 4]])
    assert solve(env, policy="uniform").start_value == pytest.approx(1 / 4)
    assert solve(env).start_value == 1.0


def test_uniform_play_agrees_with_its_exact_value():
    name = "lmenvs/Countdown-v0?numbers=3&pool=64"
    exact, found = measure(name, "uniform").value, measure(name, "random:1500")
    assert abs(found.value - exact) < 4 * found.error
    assert measure(name, "optimum").value == 1.0


@pytest.mark.parametrize("mode", ["stepwise", "expression"])
@pytest.mark.parametrize("numbers", [2, 3, 5])
def test_the_expert_solves_every_puzzle(mode: Any, numbers: int):
    env = Countdown(numbers=numbers, mode=mode, pool=None)
    for seed in range(15):
        env.reset(seed=seed)
        terminated, total, info = False, 0.0, {}
        while not terminated:
            _, reward, terminated, _, info = env.step(env.expert_action())
            total += reward
        assert total == 1.0 and info["success"] and env.progress() == 1.0


def test_random_expressions_are_valid_and_use_every_number():
    env = Countdown(mode="expression", tries=1000)
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    for _ in range(50):
        text = random_expression(env, generator)
        _, _, terminated, _, info = env.step(text)
        assert info["valid"] and sum(part.isdigit() for part in _words(text)) == 4
        if terminated:
            env.reset()


def _words(text: str) -> list[str]:
    return text.replace("(", " ").replace(")", " ").split()


@pytest.mark.parametrize("pool", [256, None])
def test_train_and_test_puzzles_are_disjoint(pool: int | None):
    drawn: dict[str, set[str]] = {}
    for split in ("train", "test"):
        env = Countdown(numbers=3, pool=pool, split=split)
        drawn[split] = {env.reset(seed=seed)[0] and env.state_key() for seed in range(60)}
        assert all(split_of(key) == split for key in drawn[split])
    assert not drawn["train"] & drawn["test"] and min(map(len, drawn.values())) > 30


def test_the_start_states_are_the_pool():
    env = Countdown(pool=64, split="train")
    starts = env.start_states()
    assert sum(probability for probability, _ in starts) == pytest.approx(1)
    listed = {snapshot.observation for _, snapshot in starts}
    assert {env.reset(seed=seed)[0] for seed in range(300)} == listed


def test_fresh_puzzles_keep_the_contract_but_have_no_list_of_starts():
    name = "lmenvs/Countdown-v0?numbers=3&pool=null&split=test"
    check_env(name)
    with pytest.raises(NoExactModel, match="give pool=N or items"):
        lmenvs.make(name).start_states()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"numbers": 7}, "numbers=7; expected a whole number from 2 to 6"),
        ({"numbers": True}, "numbers=True; expected"),
        ({"largest": 5}, "largest=5; expected"),
        ({"mode": "both"}, "mode='both'; expected one of 'stepwise', 'expression'"),
        ({"tries": 0}, "tries=0; expected"),
        ({"pool": 0}, "pool=0; expected"),
        ({"split": "dev"}, "split='dev'; expected"),
        ({"pool": 1, "split": "test"}, "split='test' holds none of the 1 puzzles"),
        ({"items": []}, "expected at least one"),
        ({"items": 5}, "items: 5; expected"),
        ({"items": [[3, 5, 7]]}, r"expected \[\[numbers\], target\]"),
        ({"items": [[[3], 7]]}, "with 2 to 6 whole numbers"),
        ({"items": [[[3, 0], 7]]}, "whole numbers from 1"),
        ({"items": [[[3, 10_000], 7]]}, "from 1 to 9999"),
        ({"items": [[[3, 7], 7]]}, "none of them"),
        ({"items": [[["3", 7], 21]]}, "whole numbers"),
        ({"items": [[[3, 7], 22]]}, "has no solution"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments: dict[str, Any], match: str):
    with pytest.raises(ValueError, match=match) as caught:
        Countdown(**arguments)
    assert "\n" not in str(caught.value)


def test_given_puzzles_are_sorted_and_not_repeated():
    assert check_items([[[7, 3, 5], 22], [(3, 5, 7), 22], [[2, 2], 4]]) == (
        ((3, 5, 7), 22),
        ((2, 2), 4),
    )
