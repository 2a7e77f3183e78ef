# over 300 lines: rules, levels and search are checked by one second implementation
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from lmenvs import NoExactModel
from lmenvs.checks import states
from lmenvs.checks.subject import Subject
from lmenvs.envs.navigation.sokoban import TextSokoban, parse_direction
from lmenvs.envs.navigation.sokoban_levels import MOST_MOVES, make_level
from lmenvs.envs.navigation.sokoban_rules import DIRECTIONS, after_move, draw, read_board
from lmenvs.envs.navigation.sokoban_search import shortest_solution
from lmenvs.exact import solve
from lmenvs.splits import split_of
from lmenvs.testing import CHECKS

STEPS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


def move_by_hand(board: str, direction: str) -> str:
    """A move on a grid of signs, by the rules as one would tell them; it shares no code."""
    grid = [list(row) for row in board.split("\n")]
    ((row, column),) = [
        (r, c) for r, line in enumerate(grid) for c, sign in enumerate(line) if sign in "@+"
    ]
    down, right = STEPS[direction]
    ahead, beyond = (row + down, column + right), (row + 2 * down, column + 2 * right)
    sign = grid[ahead[0]][ahead[1]]
    if sign == "#":
        return board
    if sign in "$*":
        behind = grid[beyond[0]][beyond[1]]
        if behind not in "-.":
            return board
        grid[beyond[0]][beyond[1]] = "*" if behind == "." else "$"
        sign = "." if sign == "*" else "-"
    grid[ahead[0]][ahead[1]] = "+" if sign == "." else "@"
    grid[row][column] = "." if grid[row][column] == "+" else "-"
    return "\n".join("".join(line) for line in grid)


def fewest_moves(board: str) -> int | None:
    """The length of a shortest solution, by breadth-first search on boards."""
    moves, queue = {board: 0}, deque([board])
    while queue:
        here = queue.popleft()
        if "$" not in here:
            return moves[here]
        for direction in STEPS:
            there = move_by_hand(here, direction)
            if there not in moves:
                moves[there] = moves[here] + 1
                queue.append(there)
    return None


def play(level: str, actions: str, **arguments: Any) -> tuple[list[float], str]:
    """Rewards and last text of moves given by their first letters."""
    names = {name[0]: name for name in STEPS}
    env = TextSokoban(level=level, **arguments)
    text, _ = env.reset(seed=0)
    rewards: list[float] = []
    for letter in actions:
        text, reward, _, _, _ = env.step(names.get(letter, letter))
        rewards.append(reward)
    return rewards, text


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("up", "up"),
        (" DOWN\n", "down"),
        ("Left", "left"),
        ("right", "right"),
        ("", None),
        ("push up", None),
        ("u", None),
        ("up up", None),
        ("Up!", "up"),
        ("**up**", "up"),
        ("up?", None),
        ("up\x00", None),
        ("\ud800", None),
        ("1", None),
    ],
)
def test_a_direction_is_read_from_text(text: str, direction: str | None):
    assert parse_direction(text) == direction


def test_a_hundred_kilobytes_of_anything_are_no_direction():
    for piece in ("up ", "x", "\x00", "\ud800", "İ", " "):
        assert parse_direction(piece * (100_000 // len(piece))) is None


def test_the_rewards_are_those_computed_by_hand():
    level = "######/#@$-.#/#-*--#/######"
    # on: -0.1 + 1; off: -0.1 - 1; a blocked move: -0.1; the last box: -0.1 + 1 + 10
    assert play(level, "rr")[0] == pytest.approx([-0.1, 10.9])
    assert play(level, "dr")[0] == pytest.approx([-0.1, -1.1])
    assert play(level, "uld?")[0] == pytest.approx([-0.1, -0.1, -0.1, -0.1])
    assert play("#######/#@$.$.#/#######", "rr")[0] == pytest.approx([0.9, -0.1])
    assert play(level, "rr", on_invalid="noop")[1] == "######\n#--@*#\n#-*--#\n######\nSolved."


def test_a_box_is_pushed_only_onto_a_free_square():
    wall, two = "#####/#.@$#/#####", "######/#@$$.#/#.---#/######"
    assert play(wall, "r")[1] == "#####\n#.@$#\n#####"
    assert play(two, "r")[1] == "######\n#@$$.#\n#.---#\n######"


@pytest.mark.parametrize(("size", "boxes"), [(5, 1), (6, 1), (6, 3), (7, 2)])
def test_moves_are_those_made_by_hand_on_random_walks(size: int, boxes: int):
    for number in range(10):
        board = make_level(size, boxes, "all", number)
        room, player, bits = read_board(board)
        for turn in range(60):
            choice = (turn * turn + number) % 4
            player, bits = after_move(room, player, bits, choice)
            board = move_by_hand(board, DIRECTIONS[choice])
            assert draw(room, player, bits) == board
            assert read_board(board) == (room, player, bits)


@pytest.mark.parametrize(
    ("size", "boxes", "levels"),
    # on level 331 the search first reaches a position on a detour
    [(5, 1, range(40)), (6, 1, range(150)), (6, 2, range(20)), (7, 3, [331])],
)
def test_every_generated_level_has_a_solution_and_the_expert_a_shortest_one(
    size: int, boxes: int, levels: Sequence[int]
):
    for number in levels:
        board = make_level(size, boxes, "all", number)
        solution = shortest_solution(*read_board(board))
        assert solution is not None
        assert boxes < len(solution) <= MOST_MOVES
        assert len(solution) == fewest_moves(board)
        for player, bits, direction in solution:
            assert read_board(board)[1:] == (player, bits)
            board = move_by_hand(board, DIRECTIONS[direction])
        assert "$" not in board


def test_a_level_has_its_size_its_boxes_and_none_of_them_on_a_target():
    boards = [make_level(7, 3, "all", number) for number in range(30)]
    assert len(set(boards)) == 30
    for board in boards:
        assert [len(row) for row in board.split("\n")] == [7] * 7
        assert board.count("$") == 3 == board.count(".") + board.count("+")
        assert "*" not in board


def test_a_level_is_made_once_and_for_all_in_its_split():
    train, test = ({make_level(6, 1, split, n) for n in range(50)} for split in ("train", "test"))
    assert not train & test
    assert {split_of(level) for level in train} == {"train"}
    for number in range(50):
        level = make_level(6, 1, "all", number)
        assert level == make_level(6, 1, split_of(level), number)


def test_a_position_that_is_lost_has_no_solution_and_the_expert_goes_on_saying_up():
    corner = "#####/#$-.#/#-@-#/#####".replace("/", "\n")
    assert shortest_solution(*read_board(corner)) is None is fewest_moves(corner)
    # two boxes that block each other although each alone could be pushed on
    block = "######\n#.$$-#\n#-$$.#\n#@-..#\n######"
    assert shortest_solution(*read_board(block)) is None is fewest_moves(block)
    env = TextSokoban(level=corner)
    env.reset(seed=0)
    assert env.expert_action() == "up"
    _, _, terminated, _, _ = env.step("up")
    assert not terminated


@pytest.mark.parametrize("arguments", [{}, {"boxes": 2, "split": "test"}])
def test_the_expert_solves_every_level_in_time(arguments: dict[str, Any]):
    env = TextSokoban(**arguments)
    for seed in range(50):
        env.reset(seed=seed)
        terminated, info = False, {}
        while not terminated:
            _, _, terminated, _, info = env.step(env.expert_action())
        assert info["success"] and env.progress() == 1.0


def test_no_play_beats_the_expert():
    env = TextSokoban(levels=2, turns=10)
    solution = solve(env)
    total = 0.0
    for chance, start in env.start_states():
        env.restore(start)
        terminated = False
        while not terminated:
            _, reward, terminated, _, _ = env.step(env.expert_action())
            total += chance * reward
    assert total == pytest.approx(solution.start_value)
    assert total > 10.0


def test_turns_that_run_out_terminate_without_success():
    env = TextSokoban(level="#####/#@$.#/#####", turns=2)
    env.reset(seed=0)
    env.step("left")
    text, reward, terminated, truncated, info = env.step("hm")
    assert (reward, terminated, truncated, info["success"]) == (-0.1, True, False, False)
    assert text.split("\n")[0].startswith("That is not a move")
    assert text.endswith("#####\nTime is up.")


@pytest.mark.parametrize(
    ("on_invalid", "reward", "ends"),
    [("penalise", -0.1, False), ("noop", 0.0, False), ("terminate", -0.1, True)],
)
def test_an_invalid_text_costs_what_on_invalid_says(on_invalid: Any, reward: float, ends: bool):
    env = TextSokoban(on_invalid=on_invalid)
    board, _ = env.reset(seed=0)
    text, paid, terminated, _, info = env.step("push the box")
    assert (paid, terminated, info["error"]) == (reward, ends, "malformed")
    assert text == f"That is not a move; say up, down, left or right.\n{board}"
    assert env.state_key() == board


def test_a_level_of_your_own_may_have_blanks_and_ragged_rows():
    classic = ["  #####", "###   #", "#.@$  #", "### $.#", "#.##$ #", "#######"]
    expected = "--#####\n###---#\n#.@$--#\n###-$.#\n#.##$-#\n#######"
    with pytest.raises(ValueError, match="a box or a target is outside the room"):
        TextSokoban(level=classic)
    classic[4] = "# ##$.#"
    assert TextSokoban(level=classic).reset(seed=0)[0] == expected.replace("#.##$-", "#-##$.")
    ragged = TextSokoban(level="####/#@ ####/# $  .#/#######")
    assert ragged.reset(seed=0)[0] == "####---\n#@-####\n#-$--.#\n#######"


def test_a_level_of_your_own_keeps_the_contract():
    level = ["#######", "#@$-.-#", "#--*--#", "#######"]
    subject = Subject("own", lambda **arguments: TextSokoban(level=level, turns=9, **arguments))
    for check in CHECKS:
        if check is not states.keeps_its_splits_apart:  # one level is in both
            check(subject)


def test_an_own_level_is_the_one_start():
    env = TextSokoban(level="#####/#@$.#/#####")
    assert [chance for chance, _ in env.start_states()] == [1.0]
    assert solve(env).start_value == pytest.approx(10.9)
    assert {env.reset(seed=seed)[0] for seed in range(5)} == {"#####\n#@$.#\n#####"}


def test_the_option_level_chooses_the_level_by_its_number():
    env = TextSokoban(split="train")
    assert env.reset(seed=0, options={"level": 7})[0] == make_level(6, 1, "train", 7)
    for number in (-1, 1000, "7", 7.0):
        with pytest.raises(ValueError, match="expected the number of a level, 0 to 999"):
            env.reset(seed=0, options={"level": number})


@pytest.mark.parametrize(
    "level",
    [
        "",
        [],
        [3],
        5,
        True,
        "#####/#@-.#/#####",
        "#####/#@*-#/#####",
        "#####/#-$.#/#####",
        "######/#@@$.#/######",
        "#####/#@$.-/#####",
        "#####/#@$.#/##-##",
        "#####/#@$!#/#####",
        "##/@$.",
        "\x00",
        "#" * 100_000,
        ["#####", "#@$.#", "#" * 21],
    ],
)
def test_what_is_no_level_is_refused_in_one_line(level: Any):
    with pytest.raises(ValueError, match="expected a room closed by '#'") as caught:
        TextSokoban(level=level)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 4},
        {"size": 11},
        {"boxes": 0},
        {"boxes": 2, "size": 5},
        {"levels": 0},
        {"turns": 0},
        {"turns": 1.0},
        {"split": "valid"},
        {"level": "#####/#@$.#/#####", "boxes": 2},
        {"level": "#####/#@$.#/#####", "split": "test"},
    ],
)
def test_a_bad_argument_is_refused_in_one_line(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match="expected") as caught:
        TextSokoban(**arguments)
    assert "\n" not in str(caught.value)


def test_more_levels_than_can_be_listed_have_no_list_of_starts():
    env = TextSokoban(levels=10**6)
    assert env.reset(seed=0)[0] == env.reset(seed=0)[0]
    with pytest.raises(NoExactModel, match="too many to list"):
        env.start_states()
