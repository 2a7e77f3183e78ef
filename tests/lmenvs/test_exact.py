"""Exact values: numbers by hand, Bellman identities, refusals."""

import json
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from pytest import approx

import lmenvs
from lmenvs import TextEnv
from lmenvs.exact import Solution, solve
from tests.lmenvs.small import Hallway, Ladder


def test_the_hallway_from_its_middle_costs_two_turns_for_a_seer():
    solution = solve(Hallway())
    assert solution.start_states == {"door -1 cell 2": 0.5, "door 5 cell 2": 0.5}
    assert solution.start_value == approx(-2.0)
    assert solution.value("door -1 cell 0") == 0.0
    assert solution.q("door -1 cell 2", "right") == approx(-1.0 - 3.0)
    assert solution.advantage("door -1 cell 2", "right") == approx(-2.0)


def test_a_shorter_horizon_cuts_the_episode_off():
    assert solve(Hallway(), horizon=2).start_value == approx(-2.0)
    assert solve(Hallway(), horizon=1).start_value == approx(-1.0)
    assert solve(Hallway(), horizon=0).start_value == 0.0
    long = solve(Hallway(), horizon=100)
    assert long.horizon == 8 and long.value("door 5 cell 2", 8) == 0.0


def test_discount_weighs_a_reward_by_the_turns_before_it():
    solution = solve(Ladder(limit=3), discount=0.5)
    assert solution.start_value == approx(0.75**3 * 0.5**2)
    assert solution.value("2", 2) == approx(0.75)


def test_chance_is_averaged_by_its_probability():
    # at least three successes in four tries
    assert solve(Ladder(limit=4)).start_value == approx(0.75**4 + 4 * 0.75**3 * 0.25)


def test_uniform_play_halves_the_chance_of_a_climb():
    assert solve(Ladder(limit=3), policy="uniform").start_value == approx((0.75 / 2) ** 3)


def test_stationary_values_solve_the_bellman_equation_by_hand():
    # v = d (3/4 v' + 1/4 v), with the top worth 1 when it is reached
    discount = 0.9
    up = 0.75 / (1 - 0.25 * discount)
    solution = solve(Ladder(), discount=discount)
    assert solution.horizon is None
    assert solution.value("2") == approx(up, abs=1e-12)
    assert solution.value("0", t=17) == approx(up * (discount * up) ** 2, abs=1e-12)
    assert solution.q("2", "rest") == approx(discount * up, abs=1e-12)
    assert solve(Ladder()).start_value == approx(1.0, abs=1e-12)


def test_stationary_values_of_a_given_policy_agree_with_a_linear_system():
    solution = solve(
        Ladder(), discount=0.8, policy=lambda key, actions: {"climb": 0.4, "rest": 0.6}
    )
    transition = np.diag([0.7] * 3) + np.diag([0.3] * 2, 1)
    values = np.linalg.solve(np.eye(3) - 0.8 * transition, [0.0, 0.0, 0.3])
    assert [solution.value(key) for key in "012"] == approx(list(values), abs=1e-12)


def test_values_that_never_settle_are_refused():
    class Toll(Ladder):
        def _play(self, action: str) -> lmenvs.Outcome:
            return lmenvs.Outcome("Rung 0.", -1.0)

        outcomes = TextEnv.outcomes

    with pytest.raises(ValueError, match="discount below 1 or a horizon"):
        solve(Toll())


def _bellman_holds(solution: Solution, chances: Callable[[str, list[str]], list[float]] | None):
    checked = 0
    for t in range(solution.horizon or 1):
        for key in solution.keys(t):
            actions = solution.actions(key, t)
            advantages = [solution.advantage(key, action, t) for action in actions]
            if chances is None:
                assert max(advantages) == approx(0.0, abs=1e-12)
            else:
                total = np.dot(chances(key, actions), advantages)
                assert total == approx(0.0, abs=1e-12)
            checked += 1
    assert checked > 5


@pytest.mark.parametrize("information", ["state", "observation"])
def test_the_best_advantage_is_zero_under_the_optimal_policy(
    information: Literal["state", "observation"],
):
    _bellman_holds(solve(Hallway(), information=information), None)
    _bellman_holds(solve(Ladder(limit=5), discount=0.9, information=information), None)


@pytest.mark.parametrize("information", ["state", "observation"])
def test_advantages_average_to_zero_under_the_policy_they_belong_to(
    information: Literal["state", "observation"],
):
    def leaning(key: str, actions: list[str]) -> list[float]:
        first = 0.2 + 0.6 * (len(key) % 3) / 2
        return [first, 1.0 - first]

    _bellman_holds(solve(Hallway(), policy=leaning, information=information), leaning)
    _bellman_holds(solve(Ladder(limit=5), 0.9, policy=leaning, information=information), leaning)
    uniform = solve(Hallway(), policy="uniform", information=information)
    _bellman_holds(uniform, lambda key, actions: [0.5, 0.5])


def test_q_is_the_reward_plus_the_value_that_follows_it():
    solution = solve(Hallway(), discount=0.9)
    env = Hallway()
    for _, start in env.start_states():
        for action in ("left", "right"):
            env.restore(start)
            key = env.state_key()
            _, reward, terminated, _, _ = env.step(action)
            later = 0.0 if terminated else solution.value(env.state_key(), 1)
            assert solution.q(key, action) == approx(reward + 0.9 * later)


def test_a_pair_that_no_play_reaches_is_solved_when_asked_for():
    # rung 2 is first reached with one turn left; from the start it would have three
    assert solve(Ladder(limit=3)).value("2", 0) == approx(1 - 0.25**3)
    solution = solve(Hallway())
    assert solution.value("door 5 cell 4", 0) == 0.0  # two moves away from every start
    assert solution.value("door -1 cell 4", 7) == -1.0
    seen = solve(Hallway(), information="observation")
    half = json.dumps({"door -1 cell 0": 0.5, "door 5 cell 0": 0.5})
    assert seen.value(half) == approx(0.5 * 0.0 + 0.5 * -5.0)


def test_the_mean_optimal_return_of_the_double_t_maze_is_the_published_maximum():
    solution = solve("lmenvs/Maze-v0")
    assert len(solution.start_states) == 25
    assert round(solution.start_value, 10) == -6.84


def test_microwave_by_hand():
    """Open, put, close: the best turn advantages, and random play's, worked out on paper."""
    env = lmenvs.make("lmenvs/Microwave-v0")
    env.reset(seed=0)
    actions = ["open the microwave", "put the pancake in the microwave", "close the microwave"]
    keys = [env.state_key()]
    for action in actions[:2]:
        env.step(action)
        keys.append(env.state_key())
    best = solve(env)
    assert best.start_value == 1.0
    assert best.q(keys[0], actions[2]) == 1.0  # two turns may be wasted
    assert best.q(keys[0], actions[2], t=2) == -1.0  # a third may not
    uniform = solve(env, policy="uniform")
    # with n turns left: state 2 is worth 1 - 2^(1-n), state 1 goes on to it, state 0 tosses a coin
    assert [uniform.value(keys[2], t) for t in (4, 3, 2)] == approx([0.0, 0.5, 0.75])
    assert uniform.value(keys[1], 1) == approx(0.75)
    assert uniform.start_value == approx(0.5 * 0.75 + 0.25 * 0.5 + 0.125 * 0.0 - 0.125)
    # no play is in state 2 so early, but the state has a value there all the same
    assert [uniform.value(keys[2], t) for t in (0, 1)] == approx([1 - 2**-4, 1 - 2**-3])


def test_solving_leaves_the_environment_where_it_was():
    env = Hallway()
    env.reset(seed=3)
    env.step("left")
    before = env.snapshot()
    solve(env, information="observation").value('{"door 5 cell 0": 1.0}', 2)
    assert env.snapshot() == before


def test_an_environment_without_a_model_is_refused_in_one_line():
    class Modelless(Hallway):
        start_states = TextEnv.start_states

    with pytest.raises(ValueError, match="Modelless has no exact model") as caught:
        solve(Modelless())
    assert "\n" not in str(caught.value)


def test_a_model_too_large_to_explore_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    # each of 2,126 starts has 6,694 actions: some 25 GB, were they asked for
    with pytest.raises(ValueError, match=r"\(state, turn, action\) triples in Wordle") as caught:
        solve("lmenvs/Wordle-v0")
    assert "\n" not in str(caught.value)
    # the two starts of the hallway have four; what follows them has more
    monkeypatch.setattr("lmenvs.model.MOST_ROWS", 4)
    assert solve(Hallway(), horizon=1).start_value == approx(-1.0)
    with pytest.raises(ValueError, match=r"more than 4 \(state, turn, action\) triples in Hallway"):
        solve(Hallway())
    monkeypatch.setattr("lmenvs.model.MOST_STATES", 4)
    monkeypatch.setattr("lmenvs.model.MOST_ROWS", 1000)
    with pytest.raises(ValueError, match=r"more than 4 \(state, turn\) pairs in Hallway"):
        solve(Hallway())


def test_bad_arguments_are_refused_with_what_was_expected():
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"discount": 1.5}, "discount=1.5"),
        ({"horizon": -1}, "horizon=-1"),
        ({"policy": "best"}, "policy='best'"),
        ({"information": "all"}, "information='all'"),
        ({"policy": lambda key, actions: [1.0]}, "1 probabilities for 2 actions"),
        ({"policy": lambda key, actions: [0.5, 0.6]}, "sum 1.1"),
        ({"policy": lambda key, actions: {"up": 1.0}}, "'up'"),
    )
    for arguments, words in cases:
        with pytest.raises(ValueError, match=words):
            solve(Hallway(), **arguments)


def test_questions_about_what_does_not_exist_are_refused():
    solution = solve(Hallway())
    for ask in (
        lambda: solution.value("door 9 cell 9"),
        lambda: solution.q("door 5 cell 2", "jump"),
        lambda: solution.value("door 5 cell 2", -1),
        lambda: solution.belief(["Floor."]),
        lambda: solve(Hallway(), information="observation").belief(["Rain."]),
        lambda: solve(Hallway(), information="observation").value("door 5 cell 2"),
    ):
        with pytest.raises(ValueError):
            ask()
