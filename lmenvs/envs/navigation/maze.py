"""Maze: LMRL-Gym's two mazes, described in text, with the position told or hidden."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, cast

import numpy as np

from lmenvs.arguments import check_choice
from lmenvs.core import OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.decoration import bare

from .maze_map import DIRECTIONS, LAYOUTS, MazeMap, maze_map

MOVE_LIMIT = 100
MOVE_REWARD = -1.0
GOAL_REWARD = 0.0
ILLEGAL_REWARD = -4.0
FAILURE_REWARD = -1.0

ACTIONS = tuple(f"move {direction}" for direction in DIRECTIONS)
_DIRECTION_OF = dict(zip(ACTIONS, DIRECTIONS, strict=True))
_HINT = "That is not a move; say move left, move right, move up or move down."

Observability = Literal["full", "partial"]
OBSERVABILITIES: tuple[Observability, ...] = ("full", "partial")


def parse_move(text: str) -> str | None:
    """The direction that `move <direction>` names, however decorated (`decoration.bare`), or None.

    >>> parse_move(" Move LEFT."), parse_move("left")
    ('left', None)
    """
    return _DIRECTION_OF.get(bare(text))


class Maze(TextEnv):
    """Find the goal of a maze by moving left, right, up and down.

    Description:
        A fixed maze; the player starts on a random free cell. With `observability="full"` every
        observation tells the goal and the position; with "partial" it tells only which of the four
        neighbouring cells are walls, so the player has to work out the place from what it has seen.

    Actions:
        `move left`, `move right`, `move up`, `move down`, in any case and spacing, in quotes or
        asterisks, with a full stop or not; all four are always admissible, and a move into a wall
        leaves the player in place. Any other text is `malformed`; it uses a move.

    Observations:
        Full: `Goal: row 8, column 6. You: row 2, column 3. Walls: left, right.` Partial: `Walls:
        left, right.` alone. An illegal text is answered by a sentence in front of it.

    Rewards:
        -1 for a move, 0 for the move that reaches the goal, -4 for an illegal text under
        `on_invalid="penalise"` (the default) and "terminate", 0 under "noop". After
        100 moves the 101st, whatever it is, costs -1 and moves nothing.

    Episode end:
        Terminated at the goal (success), with the 101st move (failure), and on an illegal text
        under `on_invalid="terminate"`. Never truncated.

    Arguments:
        layout: "double_t" (26 free cells, goal at row 8, column 6) or "u" (7 free cells).
        observability: "full" or "partial".
        Option `start` of `reset`: (row, column) of the start, counted from 0; default: uniform over
        the free cells other than the goal.

    Capability:
        Navigation; with the partial view also memory and localisation.

    Source:
        Layouts, rewards and limit of the Maze task of LMRL-Gym (Abdulhai et al., 2023); texts by
        this project.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/Maze-v0
        Maze-v0
            min -101: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            average -83: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            max -6.84: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            BC -72.1: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            filtered BC -56.4: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            MC -48.1: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            ILQL -6.97: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            PPO -37.7: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            online filtered BC -71.7: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and
                bounds
            GPT-4 -39.7: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            optimum -6.84 +- 0: exact, with everything seen
            uniform -85.893 +- 0: exact, uniform over legal actions
            expert -6.67 +- 0.11: the expert, seeds 0 to 999
        Maze-v0?observability=partial
            min -101: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            average -83: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            max -25.75: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds; not the
                optimum
            BC -79.5: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            filtered BC -82.9: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            MC -80.3: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            ILQL -52.9: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            PPO -91.7: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            online filtered BC -79.5: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and
                bounds
            GPT-4 -88: LMRL-Gym (Abdulhai et al., 2023), table of raw returns and bounds
            optimum -6.84 +- 0: exact, with everything seen
            belief -7.24 +- 0: exact, of what a player can know
            uniform -85.893 +- 0: exact, uniform over legal actions
            expert -7.098 +- 0.11: the expert, seeds 0 to 999
        Maze-v0?layout=u
            min -101: no legal play does worse
            average -46.219 +- 0: exact, uniform over legal actions
            max -2.5 +- 0: exact, with everything seen
            expert -2.517 +- 0.055: the expert, seeds 0 to 999
        Maze-v0?layout=u&observability=partial
            min -101: no legal play does worse
            average -46.219 +- 0: exact, uniform over legal actions
            optimum -2.5 +- 0: exact, with everything seen
            max -2.8333 +- 0: exact, of what a player can know
            expert -2.871 +- 0.043: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    reset_options = frozenset({"start"})
    turn_limit = MOVE_LIMIT + 1

    def __init__(
        self,
        layout: str = "double_t",
        observability: Observability = "full",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_choice("layout", layout, sorted(LAYOUTS))
        check_choice("observability", observability, OBSERVABILITIES)
        self.layout = layout
        self.observability: Observability = observability
        self.observes_state = observability == "full"
        self.instructions = _instructions(observability)
        self._map = maze_map(layout)
        self._texts, self._answers = _answers(layout, observability)
        self._cell = self._start = self._map.starts[0]
        self._belief = 0

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        if options.get("start") is None:
            self._start = self._map.starts[int(task.integers(len(self._map.starts)))]
        else:
            self._start = self._start_cell(options["start"])
        self._cell = self._start
        self._belief = self._first_belief(self._start)
        return self._texts[self._cell]

    def _start_cell(self, start: object) -> int:
        pair: list[object] = list(cast("Sequence[object]", start)) if _is_pair(start) else []
        if len(pair) == 2 and all(isinstance(part, int | np.integer) for part in pair):
            cell = self._map.index.get(cast("tuple[int, int]", tuple(pair)))
            if cell is not None and cell != self._map.goal:
                return cell
        raise ValueError(
            f"options['start'] = {start!r}; expected (row, column) of a free cell of layout "
            f"{self.layout!r} other than the goal {self._map.cells[self._map.goal]}"
        )

    def _first_belief(self, cell: int) -> int:
        if self.observability == "full":
            return cell  # unused: the position is told
        return self._map.beliefs.first[self._map.walls[cell]]

    def _play(self, action: str) -> Outcome:
        if self._turn > MOVE_LIMIT:
            text = f"No moves are left. {self._texts[self._cell]}"
            return Outcome(text, reward=FAILURE_REWARD, terminated=True)
        direction = _DIRECTION_OF.get(action) or parse_move(action)
        if direction is None:
            text = f"{_HINT} {self._texts[self._cell]}"
            return self._invalid("malformed", text, penalty=ILLEGAL_REWARD)
        self._cell = self._map.moves[self._cell][direction]
        if self.observability == "partial" and self._cell != self._map.goal:
            views = self._map.beliefs.after[self._belief][direction]
            self._belief = views[self._map.walls[self._cell]]
        return self._answers[self._cell]

    def _save(self) -> dict[str, Any]:
        return {"cell": self._cell, "start": self._start, "belief": self._belief}

    def _load(self, state: Any) -> None:
        self._cell, self._start = int(state["cell"]), int(state["start"])
        self._belief = int(state["belief"])

    def admissible_actions(self) -> list[str]:
        """The four moves."""
        return list(ACTIONS)

    def expert_action(self) -> str:
        """The best move for one who knows the layout and has seen what the player has seen.

        Fair: the layout is the same in every episode; with the partial view the expert keeps the
        set of cells that explain its observations and minimises the expected number of moves.
        """
        if self.observability == "full":
            return f"move {self._map.towards_goal[self._cell]}"
        return f"move {self._map.beliefs.best[self._belief]}"

    def progress(self) -> float:
        """1 - distance to the goal / largest distance in the maze."""
        return 1.0 - self._map.distance[self._cell] / max(self._map.distance)

    def answer(self) -> str | None:
        """The start cell where it is hidden: with the partial view."""
        return None if self.observability == "full" else _place(self._map.cells[self._start])

    def state_key(self) -> str:
        """The position."""
        row, column = self._map.cells[self._cell]
        return f"{row},{column}"

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Every free cell but the goal, equally likely."""
        cells = self._map.starts
        return [
            (
                1 / len(cells),
                self._start_snapshot(
                    {"cell": cell, "start": cell, "belief": self._first_belief(cell)},
                    self._texts[cell],
                ),
            )
            for cell in cells
        ]


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _place(cell: tuple[int, int]) -> str:
    return f"row {cell[0]}, column {cell[1]}"


def _instructions(observability: Observability) -> str:
    told = (
        "Each turn you are told the goal's place, your place (rows count downwards, columns to the "
        "right, both from 0) and on which sides of you there are walls."
        if observability == "full"
        else "Each turn you are told on which sides of you there are walls, and nothing else."
    )
    return (
        f"You are in a maze and have to reach its goal. {told}\n"
        "Answer with one move and nothing else: move left, move right, move up or move down. "
        "Moving into a wall leaves you where you are. Every move before the one that reaches the "
        "goal costs 1, an answer that is not a move costs 4, and after "
        f"{MOVE_LIMIT} moves you have failed."
    )


@lru_cache(maxsize=8)
def _answers(layout: str, observability: Observability) -> tuple[list[str], list[Outcome]]:
    """For every cell, what is told there and what a move that ends there answers."""
    maze: MazeMap = maze_map(layout)
    texts: list[str] = []
    for cell, walls in zip(maze.cells, maze.walls, strict=True):
        text = f"Walls: {', '.join(walls) or 'none'}."
        if observability == "full":
            goal = _place(maze.cells[maze.goal])
            text = f"Goal: {goal}. You: {_place(cell)}. {text}"
        texts.append(text)
    answers = [Outcome(text, reward=MOVE_REWARD) for text in texts]
    reached = f"{texts[maze.goal]} You have reached the goal."
    answers[maze.goal] = Outcome(reached, reward=GOAL_REWARD, terminated=True, success=True)
    return texts, answers
