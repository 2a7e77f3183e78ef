"""Microwave: three states and five turns, small enough to check credit by hand."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lmenvs.core import OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.decoration import bare

TURN_LIMIT = 5
SUCCESS_REWARD = 1.0
FAILURE_REWARD = -1.0

OPEN = "open the microwave"
CLOSE = "close the microwave"
PUT = "put the pancake in the microwave"
ACTIONS = (OPEN, CLOSE, PUT)

TEXTS = (
    "You hold a pancake. The microwave is closed.",
    "You hold a pancake. The microwave is open.",
    "The pancake is in the microwave. The microwave is open.",
    "The pancake is in the microwave. The microwave is closed.",
)
GOAL = 3
NEXT = (
    {OPEN: 1, CLOSE: 0},
    {PUT: 2},
    {OPEN: 2, CLOSE: GOAL},
)
"""For each state but the last, the admissible actions and where they lead."""


def parse_action(text: str) -> str | None:
    """The one of `ACTIONS` that a text means, decorated (`decoration.bare`) or not, or None.

    >>> parse_action("  Open the   MICROWAVE. ")
    'open the microwave'
    """
    words = bare(text)
    return words if words in ACTIONS else None


class Microwave(TextEnv):
    """Put a pancake into a microwave: open, put, close.

    Description:
        The case study of POAD. Three decision states: the pancake in hand before a closed
        microwave, before an open one, and the pancake inside the open microwave. Nothing is hidden
        and there is no chance, so every value and advantage is known exactly.

    Actions:
        `open the microwave`, `close the microwave`, `put the pancake in the microwave`, in any
        case and spacing, in quotes or asterisks, with a full stop or not. With the microwave open
        and empty only `put` is admissible; otherwise `open` and `close` are, even where they change
        nothing. Anything else leaves the state as it is: `malformed` if it is none of the three,
        `inadmissible` if the state does not allow it.

    Observations:
        One sentence each for the pancake and the microwave; an invalid action is answered by a
        sentence in front of them.

    Rewards:
        +1 for closing the microwave on the pancake, -1 when the fifth turn passes without that,
        0 otherwise. An invalid action costs only its turn under `on_invalid="penalise"` (the
        default) and "noop"; under "terminate" it ends the episode with -1.

    Episode end:
        Terminated on success and after five turns. Never truncated.

    Arguments:
        Those of `TextEnv` only.

    Capability:
        Order of three steps; a smoke test for learning, an exact test for credit.

    Source:
        The three-state example in the code of POAD (Wen et al., 2024); texts by this project.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/Microwave-v0
        Microwave-v0
            min -1: by the rules
            average 0.375 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 9

    Version history:
        v0: first version.
    """

    turn_limit = TURN_LIMIT
    instructions = (
        "You are in a kitchen with a pancake in your hand. Heat it: it must be in the closed "
        "microwave.\nAnswer with one action and nothing else: open the microwave, close the "
        f"microwave, or put the pancake in the microwave. You have {TURN_LIMIT} turns."
    )

    def __init__(
        self,
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        self._state = 0
        self._outcomes = [
            {action: self._outcome(after) for action, after in row.items()} for row in NEXT
        ]

    @staticmethod
    def _outcome(after: int) -> Outcome:
        if after == GOAL:
            return Outcome(TEXTS[GOAL], reward=SUCCESS_REWARD, terminated=True, success=True)
        return Outcome(TEXTS[after])

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._state = 0
        return TEXTS[0]

    def _play(self, action: str) -> Outcome:
        meant = action if action in ACTIONS else parse_action(action)
        if meant is None:
            return self._refuse("malformed", "That is not one of the actions.")
        after = NEXT[self._state].get(meant)
        if after is None:
            return self._refuse("inadmissible", "That cannot be done now.")
        outcome = self._outcomes[self._state][meant]
        self._state = after
        return outcome

    def _refuse(self, error: str, why: str) -> Outcome:
        penalty = FAILURE_REWARD if self.on_invalid == "terminate" else 0.0
        return self._invalid(error, f"{why} {TEXTS[self._state]}", penalty=penalty)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        return replace(
            outcome,
            observation=f"{outcome.observation} Time is up.",
            reward=FAILURE_REWARD,
            terminated=True,
        )

    def _save(self) -> dict[str, Any]:
        return {"state": self._state}

    def _load(self, state: Any) -> None:
        self._state = int(state["state"])

    def admissible_actions(self) -> list[str]:
        """The actions that this state allows; none once the pancake is done."""
        return list(NEXT[self._state]) if self._state != GOAL else []

    def expert_action(self) -> str:
        """Open, put, close: fair, since nothing is hidden."""
        return (OPEN, PUT, CLOSE, CLOSE)[self._state]

    def progress(self) -> float:
        """The share of the three steps that is done."""
        return self._state / GOAL

    def state_key(self) -> str:
        """Where the pancake and the door are."""
        return str(self._state)

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """The one start state."""
        return [(1.0, self._start_snapshot({"state": 0}, TEXTS[0]))]
