from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import MAPS as GYMNASIUMS_MAPS
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from lmenvs.envs.navigation.frozen_lake import FrozenLakeText, parse_direction
from lmenvs.envs.navigation.frozen_lake_map import DIRECTIONS, MAPS, lake_map
from lmenvs.exact import solve

Table = dict[int, dict[int, list[tuple[float, int, float, bool]]]]


def gymnasiums_table(name: str, slippery: bool) -> Table:
    env = gymnasium.make("FrozenLake-v1", map_name=name, is_slippery=slippery).unwrapped
    assert isinstance(env, FrozenLakeEnv)
    return env.P


def value_by_gymnasium(table: Table, turns: int, best: bool) -> float:
    """The value of state 0 with a limit, by backward induction that shares no code with ours."""
    values = np.zeros(len(table))
    for _ in range(turns):
        q = np.array(
            [
                [
                    sum(p * (reward + (not over) * values[after]) for p, after, reward, over in row)
                    for row in rows.values()
                ]
                for rows in table.values()
            ]
        )
        values = q.max(axis=1) if best else q.mean(axis=1)
    return float(values[0])


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("left", "left"),
        (" DOWN\n", "down"),
        ("Right", "right"),
        ("up", "up"),
        ("", None),
        ("go left", None),
        ("l", None),
        ("left right", None),
        ("Left.", "left"),
        ("`left`", "left"),
        ("left?", None),
        ("left\x00", None),
        ("\udfffup", None),
        ("0", None),
    ],
)
def test_a_direction_is_read_from_text(text: str, direction: str | None):
    assert parse_direction(text) == direction


def test_a_hundred_kilobytes_of_anything_are_no_direction():
    for piece in ("up ", "x", "\x00", "\ud800", "İ", " "):
        assert parse_direction(piece * (100_000 // len(piece))) is None


def test_the_maps_are_gymnasiums():
    assert {name: list(rows) for name, rows in MAPS.items()} == GYMNASIUMS_MAPS


@pytest.mark.parametrize("name", ["4x4", "8x8"])
@pytest.mark.parametrize("slippery", [True, False])
def test_every_outcome_has_the_chance_that_gymnasiums_table_gives_it(name: str, slippery: bool):
    table, env = gymnasiums_table(name, slippery), FrozenLakeText(slippery, name)
    env.reset(seed=0)
    start, width = env.snapshot(), len(MAPS[name])
    for state, rows in table.items():
        if MAPS[name][state // width][state % width] in "HG":
            continue
        for direction, row in rows.items():
            expected: dict[tuple[int, float, bool], float] = {}
            for p, after, reward, over in row:
                key = (int(after), float(reward), bool(over))
                expected[key] = expected.get(key, 0.0) + p
            env.restore(start)
            env._load({"cell": state})
            found = {
                (after.state["cell"], reward, over): p
                for p, after, reward, over in env.outcomes(DIRECTIONS[direction])
            }
            assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("slippery", "turns"), [(True, 100), (True, 7), (False, 20), (False, 6), (False, 5)]
)
@pytest.mark.parametrize("best", [True, False])
def test_the_exact_value_is_that_of_gymnasiums_own_table(slippery: bool, turns: int, best: bool):
    env = FrozenLakeText(slippery, turns=turns)
    found = solve(env, policy="optimal" if best else "uniform").start_value
    expected = value_by_gymnasium(gymnasiums_table("4x4", slippery), turns, best)
    assert found == pytest.approx(expected, abs=1e-12)
    assert (expected > 0) == (turns > 5)


@pytest.mark.parametrize("slippery", [True, False])
def test_the_expert_plays_an_optimal_policy(slippery: bool):
    """At every place and turn that play can reach, the expert's move has the best exact value."""
    env = FrozenLakeText(slippery, turns=12)
    solution = solve(env)
    env.reset(seed=0)
    start, cells = env.snapshot(), {}
    for cell in range(16):
        env._load({"cell": cell})
        cells[env.state_key()] = cell
    for turn in range(12):
        for key in solution.keys(turn):
            env.restore(start)
            env._load({"cell": cells[key]})
            env._turn = turn
            gain = solution.advantage(key, env.expert_action(), turn)
            assert gain == pytest.approx(0.0, abs=1e-12)


def test_on_firm_ice_the_expert_takes_a_shortest_way():
    for name, moves in (("4x4", 6), ("8x8", 14)):
        env = FrozenLakeText(False, name)
        env.reset(seed=0)
        assert env._lake.distance[0] == moves
        for turn in range(1, moves + 1):
            _, reward, terminated, _, _ = env.step(env.expert_action())
            assert (reward, terminated) == (float(turn == moves), turn == moves)


def test_slips_go_forward_and_to_either_side_equally_often():
    env, counts = FrozenLakeText(map=["FFF", "FSF", "FFG"]), dict.fromkeys(range(9), 0)
    for seed in range(3000):
        env.reset(seed=seed)
        env.step("up")
        counts[env.snapshot().state["cell"]] += 1
    assert set(np.flatnonzero(list(counts.values()))) == {1, 3, 5}
    # three standard deviations of a binomial count
    assert all(abs(counts[cell] - 1000) < 3 * (3000 * 2 / 9) ** 0.5 for cell in (1, 3, 5))


def test_the_text_tells_the_place_and_what_is_around_it():
    env = FrozenLakeText(False)
    assert env.reset(seed=0)[0] == (
        "You are at row 0, column 0. Left: edge. Down: ice. Right: ice. Up: edge."
    )
    texts = [env.step(action)[0] for action in ("down", "down", "right")]
    assert texts[0] == "You are at row 1, column 0. Left: edge. Down: ice. Right: hole. Up: ice."
    assert texts[2] == "You are at row 2, column 1. Left: ice. Down: ice. Right: ice. Up: hole."


def test_a_hole_ends_the_game_without_reward_and_the_goal_with_one():
    env = FrozenLakeText(False)
    env.reset(seed=0)
    env.step("right")
    text, reward, terminated, truncated, info = env.step("down")
    assert text == "You are at row 1, column 1. You have fallen into a hole."
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)
    assert env.progress() == 0.0
    env.reset(seed=0)
    for action in ("down", "down", "right", "right", "down"):
        env.step(action)
    text, reward, terminated, truncated, info = env.step("right")
    assert text == "You are at row 3, column 3. You have reached the goal."
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert env.progress() == 1.0


def test_the_limit_terminates_and_an_invalid_text_uses_a_turn_of_it():
    env = FrozenLakeText(turns=3)
    start, _ = env.reset(seed=0)
    for _ in range(2):
        text, reward, terminated, _, info = env.step("swim")
        assert (reward, terminated, info["error"]) == (0.0, False, "malformed")
        assert text == f"That is not a move; say left, down, right or up. {start}"
    text, reward, terminated, truncated, info = env.step("swim")
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)
    assert text.endswith("Time is up.")


def test_several_starts_are_equally_likely_and_all_drawn():
    env = FrozenLakeText(map=["SFS", "HFF", "GFF"])
    assert [chance for chance, _ in env.start_states()] == [0.5, 0.5]
    assert {env.reset(seed=seed)[0][11:27] for seed in range(20)} == {
        "row 0, column 0.",
        "row 0, column 2.",
    }


def test_distances_count_moves_on_safe_ice():
    lake = lake_map(("SFHF", "FFHG"))
    assert lake.distance == (None, None, None, 1, None, None, None, 0)
    assert lake_map(("SF", "FG")).distance == (2, 1, 1, 0)


@pytest.mark.parametrize(
    "given",
    [
        "5x5",
        "",
        [],
        ["SFFG"],
        ["SF", "FFG"],
        ["SX", "FG"],
        ["SF", "FF"],
        ["FF", "FG"],
        ["SH", "HG"],
        ["S" * 33, "G" * 33],
        ["SF", 3],
        5,
        None,
        {"SF": "FG"},
    ],
)
def test_what_is_no_map_is_refused_in_one_line(given: Any):
    with pytest.raises(ValueError, match="expected") as caught:
        FrozenLakeText(map=given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"slippery": "no"}, "slippery='no'; expected True or False"),
        ({"slippery": 1}, "slippery=1; expected True or False"),
        ({"turns": 0}, "turns=0; expected a whole number from 1 to 1000"),
        ({"turns": True}, "turns=True; expected a whole number"),
    ],
)
def test_another_bad_argument_is_refused_too(arguments: dict[str, Any], match: str):
    with pytest.raises(ValueError, match=match):
        FrozenLakeText(**arguments)
