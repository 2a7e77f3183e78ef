"""A corridor whose actions are words of one or two tokens, as an environment that is told tokens.

At each of three doors the player says `wait`, `go left` or `go right`. What a turn earns depends on
both of its tokens, so that token-level credit has something to divide. A step of the environment is
one token; where turns begin is read from the keys. Values and gradients are then those of tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algorithms.truth import Play
from lmenvs import Outcome, Snapshot, TextEnv

DOORS = 3
WAIT, GO, LEFT, RIGHT = "wait", "go", "left", "right"


class Chain(TextEnv):
    """`wait` earns 0.1 and `go right` costs 0.2, both lead on; `go left` earns 0.6 and ends.

    Behind the last door `go right` earns 1.5 instead.
    """

    turn_limit = 2 * DOORS
    instructions = "Say wait, or go left, or go right."

    def __init__(self) -> None:
        super().__init__()
        self._door, self._said = 0, ""

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._door, self._said = 0, ""
        return "A door."

    def _play(self, action: str) -> Outcome:
        if action == GO and not self._said:
            self._said = GO
            return Outcome("You go.")
        last = self._door == DOORS - 1
        self._door, self._said = self._door + 1, ""
        rewards = {WAIT: 0.1, LEFT: 0.6, RIGHT: 1.5 if last else -0.2}
        return Outcome("A door.", rewards[action], terminated=last or action == LEFT)

    def _save(self) -> tuple[int, str]:
        return self._door, self._said

    def _load(self, state: Any) -> None:
        self._door, self._said = state

    def admissible_actions(self) -> list[str]:
        return [LEFT, RIGHT] if self._said else [WAIT, GO]

    def state_key(self) -> str:
        return f"{self._door} {self._said}".strip()

    def start_states(self) -> list[tuple[float, Snapshot]]:
        return [(1.0, self._start_snapshot((0, ""), "A door."))]


def lengths_of(play: Play) -> list[int]:
    """How many tokens each turn of a play has."""
    starts = [token for token, key in enumerate(play.keys_T) if GO not in key]
    return np.diff([*starts, len(play.keys_T)]).tolist()


def in_turns(play: Play, tokens: Sequence[float] | np.ndarray) -> list[np.ndarray]:
    """Numbers of a play's tokens, one array per turn."""
    return np.split(np.asarray(tokens, dtype=np.float64), np.cumsum(lengths_of(play))[:-1])


def turn_rewards(play: Play) -> list[float]:
    """What each turn earned."""
    return [float(rewards_L.sum()) for rewards_L in in_turns(play, play.rewards_T)]
