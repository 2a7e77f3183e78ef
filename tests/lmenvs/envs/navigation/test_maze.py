from collections import deque
from typing import Any

import pytest
from pytest import approx

import lmenvs
from lmenvs.envs.navigation.maze import ACTIONS, ILLEGAL_REWARD, Maze, parse_move
from lmenvs.envs.navigation.maze_map import DIRECTIONS, LAYOUTS, maze_map
from lmenvs.exact import solve
from lmenvs.references import references

STEPS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


def shortest_distances(layout: str) -> dict[tuple[int, int], int]:
    """Moves to the goal from every free cell, by a search on the picture that shares no code."""
    goal, picture = LAYOUTS[layout]
    distances, frontier = {goal: 0}, deque([goal])
    while frontier:
        row, column = frontier.popleft()
        for down, right in STEPS.values():
            there = (row + down, column + right)
            if picture[there[0]][there[1]] == "." and there not in distances:
                distances[there] = distances[row, column] + 1
                frontier.append(there)
    return distances


def play_expert(env: Maze) -> float:
    total, terminated = 0.0, False
    while not terminated:
        _, reward, terminated, _, _ = env.step(env.expert_action())
        total += reward
    return total


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("move left", "left"),
        ("move right\n", "right"),
        ("  MOVE   Up ", "up"),
        ("move\tdown", "down"),
        ("", None),
        ("left", None),
        ("move", None),
        ("move north", None),
        ("Move left.", "left"),
        ("**move left**", "left"),
        ("I move left", None),
        ("move left?", None),
        ("moveleft", None),
        ("move left move right", None),
        ("move\x00left", None),
        ("move left\ud800", None),
        ("ｍｏｖｅ left", None),
    ],
)
def test_a_move_is_read_from_text(text: str, direction: str | None):
    assert parse_move(text) == direction


def test_double_t_has_26_free_cells_and_u_has_7():
    assert len(maze_map("double_t").cells) == 26
    assert len(maze_map("u").cells) == 7


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_free_cell_has_the_distance_an_independent_search_finds(layout: str):
    maze = maze_map(layout)
    assert dict(zip(maze.cells, maze.distance, strict=True)) == shortest_distances(layout)


def test_the_mean_optimal_return_of_double_t_is_the_published_maximum():
    # the move that reaches the goal is free, so a start at distance d is worth -(d - 1)
    goal, _ = LAYOUTS["double_t"]
    returns = [1 - d for cell, d in shortest_distances("double_t").items() if cell != goal]
    assert len(returns) == 25
    assert sum(returns) / 25 == pytest.approx(-6.84)
    env = Maze()
    env.reset(seed=0)
    assert solve(env).start_value == pytest.approx(-6.84)
    assert references("lmenvs/Maze-v0")["optimum"].value == approx(-6.84)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_the_full_view_expert_takes_a_shortest_way_from_every_start(layout: str):
    env, distances = Maze(layout), shortest_distances(layout)
    for cell in maze_map(layout).starts:
        start = maze_map(layout).cells[cell]
        env.reset(seed=0, options={"start": start})
        assert play_expert(env) == 1 - distances[start]


@pytest.mark.parametrize(("layout", "optimum"), [("double_t", -7.24), ("u", -17 / 6)])
def test_the_partial_view_expert_plays_the_belief_optimum(layout: str, optimum: float):
    env = Maze(layout, "partial")
    env.reset(seed=0)
    returns: list[float] = []
    for _, start in env.start_states():
        env.restore(start)
        returns.append(play_expert(env))
    assert sum(returns) / len(returns) == pytest.approx(optimum)
    assert solve(env, information="observation").start_value == pytest.approx(optimum)
    if layout == "double_t":
        assert references("lmenvs/Maze-v0?observability=partial")["belief"].value == approx(optimum)


def test_the_full_view_tells_goal_place_and_walls_and_the_partial_view_walls_only():
    start = {"start": (1, 1)}
    full, _ = Maze().reset(seed=0, options=start)
    partial, _ = Maze(observability="partial").reset(seed=0, options=start)
    assert full == "Goal: row 8, column 6. You: row 1, column 1. Walls: left, up, down."
    assert partial == "Walls: left, up, down."


def test_the_partial_view_does_not_tell_apart_what_looks_alike():
    # rows 2 and 3 of the left shaft have the same walls on both sides, and so have their neighbours
    env, texts = Maze(observability="partial"), []
    for start in ((2, 3), (3, 3), (2, 9)):
        observation, _ = env.reset(seed=0, options={"start": start})
        answers = [env.step(action)[0] for action in ("move left", "hm", "move right")]
        texts.append([observation, *answers])
    assert texts[0] == texts[1] == texts[2]


def test_a_move_into_a_wall_costs_one_and_leaves_the_player_in_place():
    env = Maze()
    before, _ = env.reset(seed=0, options={"start": (1, 1)})
    after, reward, terminated, truncated, info = env.step("move up")
    assert (after, reward, terminated, truncated) == (before, -1.0, False, False)
    assert info["valid"]
    assert env.state_key() == "1,1"


def test_reaching_the_goal_ends_with_reward_zero():
    env = Maze()
    env.reset(seed=0, options={"start": (7, 6)})
    _, reward, terminated, truncated, info = env.step("move down")
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, True)
    assert env.progress() == 1.0


@pytest.mark.parametrize(
    ("on_invalid", "reward", "ends"),
    [("penalise", ILLEGAL_REWARD, False), ("noop", 0.0, False), ("terminate", -4.0, True)],
)
def test_an_illegal_text_costs_what_on_invalid_says(on_invalid: Any, reward: float, ends: bool):
    env = Maze(on_invalid=on_invalid)
    env.reset(seed=0, options={"start": (1, 1)})
    _, paid, terminated, _, info = env.step("go left")
    assert (paid, terminated) == (reward, ends)
    assert (info["valid"], info["error"]) == (False, "malformed")
    assert env.state_key() == "1,1"
    assert env.turn == 1


def test_the_101st_move_is_a_failure_even_in_front_of_the_goal():
    env = Maze()
    env.reset(seed=0, options={"start": (7, 6)})
    total = sum(float(env.step("move left")[1]) for _ in range(100))
    _, reward, terminated, truncated, info = env.step("move down")
    assert total + reward == -101.0
    assert (terminated, truncated, info["success"]) == (True, False, False)
    assert env.progress() < 1.0


def test_the_100th_move_may_still_reach_the_goal():
    env = Maze()
    env.reset(seed=0, options={"start": (7, 6)})
    for _ in range(99):
        env.step("move left")
    _, reward, terminated, _, info = env.step("move down")
    assert (reward, terminated, info["success"]) == (0.0, True, True)


def test_every_free_cell_but_the_goal_is_a_start_and_equally_likely():
    env = Maze()
    states = env.start_states()
    assert [probability for probability, _ in states] == [1 / 25] * 25
    keys: set[str] = set()
    for _, snapshot in states:
        env.restore(snapshot)
        keys.add(env.state_key())
    assert len(keys) == 25 and "8,6" not in keys
    drawn = {Maze().reset(seed=seed)[0] for seed in range(300)}
    assert len(drawn) == 25


@pytest.mark.parametrize("start", [(0, 0), (8, 6), (1,), "11", 3, (1.0, 1.0), (-1, 5), None])
def test_a_start_that_is_no_free_cell_is_refused(start: Any):
    env = Maze()
    if start is None:  # as if not given
        env.reset(seed=0, options={"start": start})
        return
    with pytest.raises(ValueError, match=r"expected \(row, column\) of a free cell"):
        env.reset(seed=0, options={"start": start})


@pytest.mark.parametrize(
    "arguments",
    [{"layout": "v"}, {"layout": ["u"]}, {"observability": "half"}, {"observability": None}],
)
def test_an_unknown_argument_value_is_refused(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match="expected one of '"):
        Maze(**arguments)


def test_a_snapshot_carries_what_the_expert_knows():
    env = Maze(observability="partial")
    env.reset(seed=3)
    env.step("move right")
    snapshot = env.snapshot()
    rest = play_expert(env)
    other = Maze(observability="partial")
    other.restore(snapshot)
    assert play_expert(other) == rest


def test_the_hidden_start_is_the_answer_of_the_partial_view_only():
    partial, full = Maze(observability="partial"), Maze()
    for env in (partial, full):
        env.reset(seed=0, options={"start": [1, 2]})
    assert partial.answer() == "row 1, column 2"
    assert full.answer() is None


def test_every_move_is_admissible_and_the_env_string_makes_the_layout():
    env = lmenvs.make("lmenvs/Maze-v0?layout=u&observability=partial")
    assert isinstance(env, Maze) and env.layout == "u" and env.observability == "partial"
    assert tuple(env.admissible_actions()) == ACTIONS == tuple(f"move {d}" for d in DIRECTIONS)
