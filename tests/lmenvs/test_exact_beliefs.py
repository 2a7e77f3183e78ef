"""Exact values for a player: beliefs by hand, against brute force, and where nothing is hidden."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pytest import approx

import lmenvs
from lmenvs import Snapshot, TextEnv
from lmenvs.exact import solve
from tests.lmenvs.small import Hallway, Ladder


def test_a_player_in_the_hallway_must_try_one_end_first():
    # three moves to an end: with luck the third is free; without, five more to the other end
    solution = solve(Hallway(), information="observation")
    (start,) = solution.start_states
    assert json.loads(start) == {"door -1 cell 2": 0.5, "door 5 cell 2": 0.5}
    assert solution.start_value == approx(0.5 * -2 + 0.5 * -(3 + 4))
    wall = solution.belief(["Floor.", "left", "Floor.", "left", "Floor.", "left", "A wall."])
    assert json.loads(wall) == {"door 5 cell 0": 1.0}
    assert solution.value(wall, 3) == approx(-4.0)
    assert solution.advantage(wall, "left", 3) == approx(-1.0)  # the eighth turn ends it anyway


def _best_by_hand(env: TextEnv, group: list[tuple[float, Snapshot]], turns: int) -> float:
    """The optimum of a player by trying every plan on particles: no keys, no model, no memo."""
    if turns == 0 or not group:
        return 0.0
    totals = []
    for action in env.admissible_actions() or []:
        total = 0.0
        seen: dict[str, list[tuple[float, Snapshot]]] = {}
        for weight, snapshot in group:
            env.restore(snapshot)
            text, reward, terminated, _, _ = env.step(action)
            total += weight * reward
            if not terminated:
                seen.setdefault(text, []).append((weight, env.snapshot()))
        env.restore(group[0][1])
        totals.append(total + sum(_best_by_hand(env, each, turns - 1) for each in seen.values()))
    return max(totals)


def _grouped(env: TextEnv) -> list[list[tuple[float, Snapshot]]]:
    groups: dict[str, list[tuple[float, Snapshot]]] = {}
    for probability, snapshot in env.start_states():
        groups.setdefault(snapshot.observation, []).append((probability, snapshot))
    return list(groups.values())


def _by_hand(env: TextEnv, turns: int) -> float:
    total = 0.0
    for group in _grouped(env):
        env.restore(group[0][1])
        total += _best_by_hand(env, group, turns)
    return total


@pytest.mark.parametrize("turns", [1, 3, 7, 8])
def test_the_belief_optimum_of_the_hallway_is_what_trying_every_plan_finds(turns: int):
    solution = solve(Hallway(), horizon=turns, information="observation")
    assert solution.start_value == approx(_by_hand(Hallway(), turns))


@pytest.mark.parametrize("policy", ["optimal", "uniform"])
def test_where_nothing_is_hidden_a_player_is_worth_as_much_as_a_seer(policy: Any):
    for env in (Ladder(limit=4), lmenvs.make("lmenvs/Microwave-v0")):
        for discount in (1.0, 0.8):
            seer = solve(env, discount, policy=policy)
            player = solve(env, discount, policy=policy, information="observation")
            assert player.start_value == approx(seer.start_value, abs=1e-9)
    hall = solve(Hallway(), policy="uniform", information="observation")
    assert hall.start_value == approx(solve(Hallway(), policy="uniform").start_value)


class Fog(Ladder):
    """The rungs cannot be seen; `rest` claims to be on rung 2, which ends it with 1 or 0."""

    def _after(self, climbed: bool) -> lmenvs.Outcome:
        self._rung = min(3, self._rung + climbed)
        return lmenvs.Outcome("Fog.")

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        found = super().outcomes(action)
        if action == "rest":
            ((_, after, _, _),) = found
            found = [(1.0, replace(after, over=True), float(self._rung == 2), True)]
        return found


def test_every_belief_key_names_its_own_node():
    solution = solve(
        "lmenvs/Maze-v0?observability=partial",
        horizon=12,
        policy="uniform",
        information="observation",
    )
    for t in range(12):
        keys = solution.keys(t)
        before = len(keys)
        values = [solution.value(key, t) for key in keys]
        assert len(values) == len(set(keys)) == len(solution.keys(t)) == before >= 7
    # chance adds up: a player who does not look knows as little as one who cannot
    seer = solve("lmenvs/Maze-v0?observability=partial", horizon=12, policy="uniform")
    assert solution.start_value == approx(seer.start_value, abs=1e-12)


def test_a_player_in_fog_claims_when_a_binomial_says_so():
    # P(two climbs in n tries) is 9/16 for n = 2 and less for every other n
    solution = solve(Fog(limit=6), information="observation")
    assert solution.start_value == approx(9 / 16)
    after_two = solution.belief(["Rung 0.", "climb", "Fog.", "climb", "Fog."])
    assert json.loads(after_two) == {"0": 1 / 16, "1": 6 / 16, "2": 9 / 16}
    assert solution.advantage(after_two, "rest", 2) == 0.0
    three = solution.belief(["Rung 0.", *["climb", "Fog."] * 3])
    assert json.loads(three)["2"] == approx(27 / 64)
    assert solution.value(three, 3) == approx(27 / 64)
    assert solve(Fog(limit=2), information="observation").start_value == 0.0


@pytest.mark.parametrize("name", ["lmenvs/Maze-v0?layout=u&observability=partial"])
def test_the_belief_optimum_of_a_maze_is_what_trying_every_plan_finds(name: str):
    env = lmenvs.make(name)
    for turns in (2, 5):
        solution = solve(env, horizon=turns, information="observation")
        assert solution.start_value == approx(_by_hand(env, turns))


def test_a_player_of_the_partial_maze_comes_close_to_one_who_sees_everything():
    name = "lmenvs/Maze-v0?observability=partial"
    player = solve(name, information="observation").start_value
    # the exact optimum; LMRL-Gym lists -25.75 as this task's maximum, which is no bound
    assert player == approx(-7.24)
    assert player <= solve(name).start_value
    full = solve("lmenvs/Maze-v0", information="observation").start_value
    assert full == approx(solve("lmenvs/Maze-v0").start_value)
