"""The maps of `Maze` and what follows from them: moves, distances, and the best play when lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

DIRECTIONS = ("left", "right", "up", "down")
_OFFSETS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}

LAYOUTS: Mapping[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "double_t": (
        (8, 6),
        (
            "#############",
            "#.....#.....#",
            "###.#####.###",
            "###.#####.###",
            "###.#####.###",
            "###.......###",
            "######.######",
            "######.######",
            "######.######",
            "#############",
        ),
    ),
    "u": (
        (3, 3),
        (
            "#####",
            "#...#",
            "#.#.#",
            "#.#.#",
            "#####",
        ),
    ),
}
"""Goal and picture of each layout; `#` is a wall, rows and columns count from 0."""

Walls = tuple[str, ...]
"""The directions in which a cell has walls, in the order of `DIRECTIONS`."""


@dataclass(frozen=True)
class MazeMap:
    """A layout with its free cells numbered.

    Attributes:
        cells: (row, column) of each free cell, in reading order.
        index: The number of each free cell.
        goal: The number of the goal.
        moves: For each cell, where each direction leads (a wall: the cell itself).
        walls: For each cell, the directions with walls.
        distance: For each cell, the moves it takes to the goal.
    """

    cells: tuple[tuple[int, int], ...]
    index: dict[tuple[int, int], int]
    goal: int
    moves: tuple[dict[str, int], ...]
    walls: tuple[Walls, ...]
    distance: tuple[int, ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The cells an episode may begin on: all but the goal."""
        return tuple(cell for cell in range(len(self.cells)) if cell != self.goal)

    @cached_property
    def towards_goal(self) -> tuple[str, ...]:
        """For each cell, a direction on a shortest way to the goal."""
        return tuple(
            min(DIRECTIONS, key=lambda direction, row=row: self.distance[row[direction]])
            for row in self.moves
        )

    @cached_property
    def beliefs(self) -> "Beliefs":
        """Best play for a player who sees walls only; worked out at first use."""
        return solve_beliefs(self)


@lru_cache(maxsize=len(LAYOUTS))
def maze_map(layout: str) -> MazeMap:
    """The map of a layout."""
    goal_place, picture = LAYOUTS[layout]
    cells = tuple(
        (row, column)
        for row, line in enumerate(picture)
        for column, mark in enumerate(line)
        if mark != "#"
    )
    index = {cell: number for number, cell in enumerate(cells)}
    goal = index[goal_place]
    moves: list[dict[str, int]] = []
    for row, column in cells:
        here = index[row, column]
        offsets = _OFFSETS.items()
        moves.append(
            {d: index.get((row + down, column + right), here) for d, (down, right) in offsets}
        )
    walls = tuple(
        tuple(direction for direction in DIRECTIONS if moves[here][direction] == here)
        for here in range(len(cells))
    )
    return MazeMap(cells, index, goal, tuple(moves), walls, _distances(moves, goal))


def _distances(moves: list[dict[str, int]], goal: int) -> tuple[int, ...]:
    # moves are reversible, so a breadth-first search out of the goal measures the way to it
    distance = {goal: 0}
    frontier = [goal]
    for here in frontier:
        for there in moves[here].values():
            if there not in distance:
                distance[there] = distance[here] + 1
                frontier.append(there)
    return tuple(distance[cell] for cell in range(len(moves)))


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What a player who sees only walls can know about its place, and the best move for it.

    Attributes:
        sets: The possible positions, for each belief.
        first: The belief after the first observation, by the walls seen.
        after: For each belief and direction, the next belief by the walls seen; reaching the goal
            ends the episode and leads nowhere.
        best: For each belief, the direction with the least expected number of moves to the goal.
    """

    sets: tuple[tuple[int, ...], ...]
    first: dict[Walls, int]
    after: tuple[dict[str, dict[Walls, int]], ...]
    best: tuple[str, ...]


def solve_beliefs(maze: MazeMap) -> Beliefs:
    """Enumerate the beliefs that can arise from a uniform start; solve them by value iteration."""
    numbers: dict[tuple[int, ...], int] = {}

    def split_by_view(cells: set[int]) -> dict[Walls, int]:
        views: dict[Walls, list[int]] = {}
        for cell in sorted(cells):
            views.setdefault(maze.walls[cell], []).append(cell)
        return {
            walls: numbers.setdefault(tuple(here), len(numbers)) for walls, here in views.items()
        }

    first = split_by_view(set(maze.starts))
    after: list[dict[str, dict[Walls, int]]] = []
    while len(after) < len(numbers):
        here = list(numbers)[len(after)]
        moved = {d: {maze.moves[cell][d] for cell in here} - {maze.goal} for d in DIRECTIONS}
        after.append({direction: split_by_view(cells) for direction, cells in moved.items()})
    sets = tuple(numbers)
    return Beliefs(sets, first, tuple(after), _best_moves(maze, sets, after))


def _best_moves(
    maze: MazeMap, sets: tuple[tuple[int, ...], ...], after: list[dict[str, dict[Walls, int]]]
) -> tuple[str, ...]:
    # the cells of a belief have the same walls, so a move shifts all of them or none: they never
    # merge, and a uniform start leaves every cell of a belief equally likely
    costs = [0.0] * len(sets)

    def cost_of(belief: int, direction: str) -> float:
        total = 0.0
        for cell in sets[belief]:
            there = maze.moves[cell][direction]
            if there != maze.goal:
                total += 1.0 + costs[after[belief][direction][maze.walls[there]]]
        return total / len(sets[belief])

    while True:
        change = 0.0
        for belief in range(len(sets)):
            cost = min(cost_of(belief, direction) for direction in DIRECTIONS)
            change, costs[belief] = max(change, abs(cost - costs[belief])), cost
        if change < 1e-9:
            break
    return tuple(
        min(DIRECTIONS, key=lambda direction, belief=belief: round(cost_of(belief, direction), 6))
        for belief in range(len(sets))
    )
