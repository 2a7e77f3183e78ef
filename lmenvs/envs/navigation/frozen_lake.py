"""FrozenLakeText: Gymnasium's frozen lake in words, with ice that is slippery or not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from lmenvs.arguments import check_count, check_flag
from lmenvs.core import OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.decoration import bare

from .frozen_lake_map import (
    DIRECTIONS,
    GOAL,
    HOLE,
    ICE,
    SLIPS,
    START,
    best_moves,
    check_map,
    lake_map,
)

GOAL_REWARD = 1.0
MOST_TURNS = 1000

_NUMBER = {name: number for number, name in enumerate(DIRECTIONS)}
_WORDS = {START: "ice", ICE: "ice", HOLE: "hole", GOAL: "goal", None: "edge"}
_HINT = "That is not a move; say left, down, right or up."


def parse_direction(text: str) -> str | None:
    """`left`, `down`, `right` or `up`, however decorated (`decoration.bare`), or None.

    >>> parse_direction(" LEFT."), parse_direction("go left")
    ('left', None)
    """
    word = bare(text)
    return word if word in _NUMBER else None


class FrozenLakeText(TextEnv):
    """Cross a frozen lake to the goal without falling into a hole.

    Description:
        A fixed map of ice, holes and a goal, told in the instructions. With `slippery=True` a move
        goes where it should with a chance of one third, and to either side of that with one third
        each; off the edge of the map it stays in place. Nothing is hidden.

    Actions:
        `left`, `down`, `right`, `up`, in any case, in quotes or asterisks, with a full stop or not;
        all four are always admissible. Anything else is `malformed`: it uses a turn and moves
        nothing.

    Observations:
        The place and what is next to it: `You are at row 0, column 0. Left: edge. Down: ice. Right:
        ice. Up: edge.` An invalid text is answered by a sentence in front.

    Rewards:
        1 for reaching the goal, 0 otherwise; an invalid text costs nothing but its turn under every
        `on_invalid`, and the game under "terminate".

    Episode end:
        Terminated at the goal (success), in a hole, and after `turns` turns (failure). Never
        truncated.

    Arguments:
        slippery: Whether the ice is slippery.
        map: "4x4" or "8x8", Gymnasium's maps, or a list of rows from the letters S (start), F
            (ice), H (hole) and G (goal); with several S the start is drawn uniformly.
        turns: The limit, 1 to 1000. Gymnasium's is 100 for "4x4" and 200 for "8x8".

    Capability:
        Planning under chance: the safe way is not the short one.

    Source:
        FrozenLake-v1 of Gymnasium (Farama Foundation), map, slips, rewards and limit; there the
        limit truncates, here it is a rule. Texts by this project.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/FrozenLakeText-v0
        FrozenLakeText-v0
            min 0: by the rules
            average 0.01394 +- 0: exact, uniform over legal actions
            max 0.74419 +- 0: exact, with everything seen
            expert 0.74 +- 0.014: the expert, seeds 0 to 999
        FrozenLakeText-v0?slippery=false
            min 0: by the rules
            average 0.01394 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 9
        FrozenLakeText-v0?map=8x8&turns=200
            min 0: by the rules
            average 0.0019014 +- 0: exact, uniform over legal actions
            max 0.91322 +- 0: exact, with everything seen
            expert 0.912 +- 0.009: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        slippery: bool = True,
        map: str | Sequence[str] = "4x4",
        turns: int = 100,
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_flag("slippery", slippery)
        check_count("turns", turns, 1, MOST_TURNS)
        self.slippery = slippery
        self.turn_limit = self.turns = turns
        self._lake = lake_map(check_map(map))
        self._texts, self._answers = _answers(self._lake.rows)
        self.instructions = _instructions(self._lake.rows, slippery, turns)
        self._cell = self._lake.starts[0]
        self._forced: int | None = None

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._cell = self._lake.starts[int(task.integers(len(self._lake.starts)))]
        return self._texts[self._cell]

    def _play(self, action: str) -> Outcome:
        way = _NUMBER.get(action)
        if way is None:
            word = parse_direction(action)
            if word is None:
                text = f"{_HINT} {self._texts[self._cell]}"
                return self._invalid("malformed", text, penalty=0.0)
            way = _NUMBER[word]
        if self.slippery:
            slip = int(self.np_random.random() * 3) if self._forced is None else self._forced
            way = SLIPS[way][slip]
        self._cell = self._lake.moves[self._cell][way]
        return self._answers[self._cell]

    def _at_limit(self, outcome: Outcome) -> Outcome:
        text = f"{outcome.observation} Time is up."
        return replace(outcome, observation=text, terminated=True)

    def _save(self) -> dict[str, Any]:
        return {"cell": self._cell}

    def _load(self, state: Any) -> None:
        self._cell = int(state["cell"])

    def admissible_actions(self) -> list[str]:
        """The four directions."""
        return list(DIRECTIONS)

    def expert_action(self) -> str:
        """The best move for this place and the turns that are left: fair, since nothing is hidden.

        It maximises the chance of reaching the goal in time, so its mean return is the optimum.
        """
        best = best_moves(self._lake.rows, self.slippery, self.turns)
        return DIRECTIONS[int(best[self.turns - self._turn, self._cell])]

    def progress(self) -> float:
        """1 - distance to the goal / largest distance on the map; 0 in a hole."""
        distance = self._lake.distance[self._cell]
        most = max(known for known in self._lake.distance if known is not None)
        return 0.0 if distance is None else 1.0 - distance / most

    def state_key(self) -> str:
        """The place."""
        row, column = self._lake.place(self._cell)
        return f"{row},{column}"

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """The start cells, equally likely; on Gymnasium's maps there is one."""
        starts = self._lake.starts
        return [
            (1 / len(starts), self._start_snapshot({"cell": cell}, self._texts[cell]))
            for cell in starts
        ]

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        """The cells that a move may end on; slips that end on the same cell are one outcome."""
        word = parse_direction(action)
        if word is None or not self.slippery:
            return super().outcomes(action)
        slips: dict[int, list[int]] = {}
        for slip, way in enumerate(SLIPS[_NUMBER[word]]):
            slips.setdefault(self._lake.moves[self._cell][way], []).append(slip)
        listed: list[tuple[float, Snapshot, float, bool]] = []
        for ways in slips.values():
            self._forced = ways[0]
            try:
                ((_, after, reward, terminated),) = super().outcomes(action)
            finally:
                self._forced = None
            listed.append((len(ways) / 3, after, reward, terminated))
        return listed


def _instructions(rows: tuple[str, ...], slippery: bool, turns: int) -> str:
    ice = (
        "The ice is slippery: a move goes where you want with a chance of 1/3, and with 1/3 each "
        "to the left or to the right of that direction."
        if slippery
        else "The ice is not slippery: a move goes where you want."
    )
    picture = "\n".join(rows)
    return (
        "You cross a frozen lake and have to reach the goal G from the start S. F is ice, H is a "
        "hole: who falls in has lost. Rows count downwards, columns to the right, both from 0.\n"
        f"{picture}\n"
        f"{ice} At the edge of the map you stay where you are. Reaching the goal earns "
        f"{GOAL_REWARD:g}; you have {turns} turns.\n"
        "Answer with one word and nothing else: left, down, right or up."
    )


@lru_cache(maxsize=32)
def _answers(rows: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Outcome, ...]]:
    """For every cell, what is told there and what a move that ends there answers."""
    lake = lake_map(rows)
    texts: list[str] = []
    answers: list[Outcome] = []
    for cell, kind in enumerate(lake.kinds):
        row, column = lake.place(cell)
        here = f"You are at row {row}, column {column}."
        around = (
            f"{name.capitalize()}: {_WORDS[lake.neighbour(cell, way)]}."
            for way, name in enumerate(DIRECTIONS)
        )
        texts.append(" ".join((here, *around)))
        if kind == GOAL:
            text = f"{here} You have reached the goal."
            answers.append(Outcome(text, reward=GOAL_REWARD, terminated=True, success=True))
        elif kind == HOLE:
            answers.append(Outcome(f"{here} You have fallen into a hole.", terminated=True))
        else:
            answers.append(Outcome(texts[cell]))
    return tuple(texts), tuple(answers)
