"""TextSokoban: push boxes onto targets, on small generated levels or on your own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmenvs.arguments import ANY_NUMBER, check_count
from lmenvs.core import NoExactModel, OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.decoration import bare
from lmenvs.splits import Split, check_split

from .sokoban_levels import MOST_BOXES, SIZES, make_level
from .sokoban_rules import DIRECTIONS, Position, after_move, check_level, draw, read_board
from .sokoban_search import shortest_solution

MOVE_REWARD = -0.1
BOX_REWARD = 1.0
SOLVED_REWARD = 10.0
MOST_TURNS = 1000
MOST_START_STATES = 20_000

_NUMBER = {name: number for number, name in enumerate(DIRECTIONS)}
_HINT = "That is not a move; say up, down, left or right."


def parse_direction(text: str) -> str | None:
    """`up`, `down`, `left` or `right`, however decorated (`decoration.bare`), or None.

    >>> parse_direction(" Up!"), parse_direction("push up")
    ('up', None)
    """
    word = bare(text)
    return word if word in _NUMBER else None


class TextSokoban(TextEnv):
    """Push every box of a warehouse onto a target.

    Description:
        The player walks up, down, left and right. Walking into a box pushes it, if the square
        behind it is free of walls and boxes; boxes are never pulled. Nothing is hidden and there is
        no chance, but many pushes cannot be undone. A position that can no longer be solved is not
        ended: the turns run out.

        Levels are played backwards from the solved board, so each has a solution, of at most 25
        moves. Level n is the same for ever; the ones drawn are 0 to `levels` - 1 of the split.

    Actions:
        `up`, `down`, `left`, `right`, in any case, in quotes or asterisks, with a full stop or not;
        all four are always admissible, and a move that is blocked changes nothing. Anything else is
        `malformed`; it uses a turn.

    Observations:
        The board: `#` wall, `-` floor, `.` target, `$` box, `*` box on a target, `@` player, `+`
        player on a target. An invalid text is answered by a line above it, the end by a line below.

    Rewards:
        -0.1 for every turn, +1 for a push that puts a box onto a target, -1 for one that takes it
        off, +10 for the push that solves the level. An invalid text costs the turn's 0.1 under
        `on_invalid="penalise"` (the default) and "terminate", 0 under "noop".

    Episode end:
        Terminated when solved (success), after `turns` turns (failure), and on an invalid text
        under `on_invalid="terminate"`. Never truncated.

    Arguments:
        size: Rows and columns of a generated level, outer walls included, 5 to 10.
        boxes: Boxes of a generated level, 1 to 4, and no more than one on five inner squares.
        levels: How many generated levels there are. `exact.solve` is for a handful of them and few
            turns: `levels=4&turns=12`.
        turns: The limit, 1 to 1000.
        level: Your own level instead, as rows or as one text with `/` or line breaks between them,
            in the signs above (blanks and `_` are floor too). It is not tried whether it can be
            solved. The other arguments on levels, and `split`, then stay at their defaults.
        split: "all", "train" or "test": which generated levels are drawn.
        Option `level` of `reset`: the number of the level.

    Capability:
        Planning ahead where mistakes are final.

    Source:
        Sokoban (Hiroyuki Imabayashi, 1982), in the signs of its text formats. Rewards of
        gym-sokoban (Schrader, 2018), on which RAGEN's and verl-agent's Sokoban build; levels and
        limit are this project's, so their scores are not comparable with these.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/TextSokoban-v0
        TextSokoban-v0
            min -3: by the rules: 30 turns, and no box begins on a target
            average -1.7947 +- 0.12: uniform over legal actions, seeds 0 to 999
            max 10.347 +- 0.0094: the expert, seeds 0 to 999
            expert 10.347 +- 0.0094: the expert, seeds 0 to 999
        TextSokoban-v0?boxes=2
            min -3: by the rules: 30 turns, and no box begins on a target
            average -2.3619 +- 0.068: uniform over legal actions, seeds 0 to 999
            max 11.1 +- 0.0093: the expert, seeds 0 to 999
            expert 11.1 +- 0.0093: the expert, seeds 0 to 999
        TextSokoban-v0?levels=4&turns=12
            min -1.2: by the rules: 12 turns, and no box begins on a target
            average -1.1624 +- 0: exact, uniform over legal actions
            max 10.25 +- 0: exact, with everything seen
            expert 10.279 +- 0.019: the expert, seeds 0 to 99

    Version history:
        v0: first version.
    """

    reset_options = frozenset({"level"})

    def __init__(
        self,
        size: int = 6,
        boxes: int = 1,
        levels: int = 1000,
        turns: int = 30,
        level: str | Sequence[str] | None = None,
        split: Split = "all",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_count("size", size, SIZES.start, SIZES.stop - 1)
        check_count("boxes", boxes, 1, MOST_BOXES)
        check_count("levels", levels, 1, ANY_NUMBER)
        check_count("turns", turns, 1, MOST_TURNS)
        self.split: Split = check_split(split)
        if boxes * 5 > (size - 2) ** 2:
            most = (size - 2) ** 2 // 5
            raise ValueError(f"boxes={boxes} at size={size}; expected at most {most} at this size")
        self._own = None if level is None else check_level(level)
        if self._own is not None and (size, boxes, levels, split) != (6, 1, 1000, "all"):
            raise ValueError(
                f"level with size={size}, boxes={boxes}, levels={levels}, split={split!r}; "
                "expected a level of your own or arguments for generated ones, not both"
            )
        self.size, self.boxes, self.levels = size, boxes, 1 if self._own else levels
        self.turn_limit = turns
        self.instructions = _instructions(turns)
        self._room, self._player, self._boxes = read_board(self._own or "#####\n#@$.#\n#####")
        self._plan: dict[tuple[int, int], str] = {}

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        number = options.get("level")
        if number is None:
            number = int(task.integers(self.levels))
        elif not isinstance(number, int | np.integer) or not 0 <= number < self.levels:
            raise ValueError(
                f"options['level'] = {number!r}; expected the number of a level, 0 to "
                f"{self.levels - 1}"
            )
        board = self._level(int(number))
        self._stand(read_board(board))
        return board

    def _level(self, number: int) -> str:
        return self._own or make_level(self.size, self.boxes, self.split, number)

    def _stand(self, position: Position) -> None:
        self._room, self._player, self._boxes = position
        self._plan = {}

    def _play(self, action: str) -> Outcome:
        direction = _NUMBER.get(action)
        if direction is None:
            word = parse_direction(action)
            if word is None:
                board = draw(self._room, self._player, self._boxes)
                return self._invalid("malformed", f"{_HINT}\n{board}", penalty=MOVE_REWARD)
            direction = _NUMBER[word]
        room, boxes = self._room, self._boxes
        self._player, self._boxes = after_move(room, self._player, boxes, direction)
        board = draw(room, self._player, self._boxes)
        if self._boxes == boxes:
            return Outcome(board, MOVE_REWARD)
        done = self._boxes & room.targets
        gained = done.bit_count() - (boxes & room.targets).bit_count()
        if done == self._boxes:
            reward = MOVE_REWARD + BOX_REWARD * gained + SOLVED_REWARD
            return Outcome(f"{board}\nSolved.", reward, terminated=True, success=True)
        return Outcome(board, MOVE_REWARD + BOX_REWARD * gained)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        text = f"{outcome.observation}\nTime is up."
        return replace(outcome, observation=text, terminated=True)

    def _save(self) -> dict[str, Any]:
        return {"board": draw(self._room, self._player, self._boxes)}

    def _load(self, state: Any) -> None:
        self._stand(read_board(str(state["board"])))

    def admissible_actions(self) -> list[str]:
        """The four directions."""
        return list(DIRECTIONS)

    def expert_action(self) -> str:
        """The next move of a shortest solution: fair, since nothing is hidden.

        It plays `up` where there is no solution any more, or none was found within 200,000
        positions, which does not happen on generated levels of the default size.
        """
        here = (self._player, self._boxes)
        if here not in self._plan:
            solution = shortest_solution(self._room, *here) or [(*here, 0)]
            self._plan = {
                (player, boxes): DIRECTIONS[direction] for player, boxes, direction in solution
            }
        return self._plan[here]

    def progress(self) -> float:
        """The share of the boxes that are on targets."""
        return (self._boxes & self._room.targets).bit_count() / self._boxes.bit_count()

    def state_key(self) -> str:
        """The board."""
        return draw(self._room, self._player, self._boxes)

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """The levels, equally likely; for up to 20,000 of them."""
        if self.levels > MOST_START_STATES:
            raise NoExactModel(
                f"levels={self.levels} are too many to list (at most {MOST_START_STATES}); "
                "use fewer levels"
            )
        boards = [self._level(number) for number in range(self.levels)]
        return [
            (1 / self.levels, self._start_snapshot({"board": board}, board)) for board in boards
        ]


def _instructions(turns: int) -> str:
    return (
        "You are in a warehouse and push boxes. Signs of the board: # wall, - floor, . target, "
        "$ box, * box on a target, @ you, + you on a target. Push every box onto a target. Moving "
        "into a box pushes it one square on, if that square is free; boxes cannot be pulled, nor "
        "two pushed at once.\n"
        "Answer with one move and nothing else: up, down, left or right. Every turn costs "
        f"{-MOVE_REWARD:g}; a box on a target earns {BOX_REWARD:g}, taking it off costs as much, "
        f"and solving the level earns {SOLVED_REWARD:g}. You have {turns} turns."
    )
