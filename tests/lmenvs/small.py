"""Small environments for the tests of the foundation: finite, solvable by hand, well behaved."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lmenvs import Outcome, Snapshot, TextEnv
from lmenvs.core import OnInvalid


class Hallway(TextEnv):
    """A dark hallway of five cells with a door at one end; which end is hidden until it is tried.

    Description:
        The player starts in the middle. Only the two ends feel different from the cells between.

    Actions:
        `left` or `right`.

    Observations:
        `Floor.`, or `A wall.` at the end without the door.

    Rewards:
        -1 a turn, 0 for the turn that goes through the door, -2 for text that is no action.

    Episode end:
        Through the door, or after eight turns.

    Arguments:
        on_invalid, admissible_info, render_mode: as `TextEnv`.

    Capability:
        Search.

    Source:
        Made for these tests.

    Version history:
        v0: first.
    """

    turn_limit = 8
    instructions = "Find the door: say left or right. You have eight turns."

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._door = -1 if task.random() < 0.5 else 5
        self._cell = 2
        return "Floor."

    def _play(self, action: str) -> Outcome:
        word = action.strip().lower()
        if word not in ("left", "right"):
            return self._invalid("malformed", "Say left or right.", penalty=-2.0)
        cell = self._cell + (1 if word == "right" else -1)
        if cell == self._door:
            self._cell = cell
            return Outcome("Out.", 0.0, terminated=True, success=True)
        self._cell = min(4, max(0, cell))
        return Outcome("A wall." if cell in (-1, 5) else "Floor.", -1.0)

    def _save(self) -> dict[str, int]:
        return {"door": self._door, "cell": self._cell}

    def _load(self, state: Any) -> None:
        self._door, self._cell = state["door"], state["cell"]

    def admissible_actions(self) -> list[str]:
        return ["left", "right"]

    def expert_action(self) -> str:
        """Privileged: it knows where the door is."""
        return "left" if self._door < self._cell else "right"

    def progress(self) -> float:
        return 1.0 - abs(self._door - self._cell) / 6

    def answer(self) -> str:
        return "left" if self._door == -1 else "right"

    def state_key(self) -> str:
        return f"door {self._door} cell {self._cell}"

    def start_states(self) -> list[tuple[float, Snapshot]]:
        found = []
        for door in (-1, 5):
            self.reset(seed=0)
            self._door = door
            found.append((0.5, self.snapshot()))
        return found


class Ladder(TextEnv):
    """Climb three rungs: a try succeeds with probability 3/4, a rest changes nothing.

    Description:
        Three rungs and chance; nothing is hidden.

    Actions:
        `climb` or `rest`.

    Observations:
        `Rung 0.` to `Rung 3.`

    Rewards:
        1 at the top, nothing else.

    Episode end:
        At the top, or after `limit` turns where there is a limit.

    Arguments:
        limit: The turns allowed, or None.

    Capability:
        None.

    Source:
        Made for these tests.

    Version history:
        v0: first.
    """

    instructions = "Climb."

    def __init__(self, limit: int | None = None, *, on_invalid: OnInvalid = "penalise"):
        super().__init__(on_invalid=on_invalid)
        self.turn_limit = limit

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._rung = 0
        return "Rung 0."

    def _play(self, action: str) -> Outcome:
        if action not in ("climb", "rest"):
            return self._invalid("unknown", f"Rung {self._rung}.", penalty=0.0)
        return self._after(action == "climb" and self.np_random.random() < 0.75)

    def _after(self, climbed: bool) -> Outcome:
        self._rung += climbed
        top = self._rung == 3
        return Outcome(f"Rung {self._rung}.", float(top), terminated=top, success=top)

    def outcomes(self, action: str) -> list[tuple[float, Snapshot, float, bool]]:
        before = self.snapshot()
        found = []
        for probability, climbed in ((0.75, True), (0.25, False)):
            if action == "climb" or not climbed:
                self._turn += 1
                outcome = self._after(climbed)
                self._over = outcome.terminated or self._turn == self.turn_limit
                self._observation = outcome.observation
                chance = probability if action == "climb" else 1.0
                found.append((chance, self.snapshot(), outcome.reward, self._over))
                self.restore(before)
        return found

    def _save(self) -> int:
        return self._rung

    def _load(self, state: Any) -> None:
        self._rung = state

    def admissible_actions(self) -> list[str]:
        return ["climb", "rest"]

    def expert_action(self) -> str:
        return "climb"

    def progress(self) -> float:
        return self._rung / 3

    def state_key(self) -> str:
        return str(self._rung)

    def start_states(self) -> list[tuple[float, Snapshot]]:
        self.reset(seed=0)
        return [(1.0, self.snapshot())]
