"""What a turn answers and what a state is, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

OnInvalid = Literal["penalise", "noop", "terminate"]

ERRORS: Mapping[str, str] = {
    "malformed": "the text cannot be read as an action of this environment",
    "unknown": "it reads as an action, but names something that does not exist",
    "inadmissible": "it is an action, but not one that this state allows",
    "unsafe": "it has characters or a length that the environment's engine cannot take",
}

INFO_KEYS = frozenset(
    {"valid", "error", "feedback", "success", "tool_calls", "cost"}
    | {"admissible_actions", "regret", "optimal_actions"}
)
"""The keys an info may have; the docstring of `core` says when and what."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `_play` answers: one turn's consequences."""

    observation: str
    reward: float = 0.0
    terminated: bool = False
    success: bool = False
    valid: bool = True
    error: str | None = None
    feedback: str | None = None
    regret: float | None = None
    optimal_actions: tuple[str, ...] | None = None
    tool_calls: tuple[dict[str, Any], ...] | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An environment's exact state: plain data, comparable, picklable, valid in any copy of it."""

    state: Any
    observation: str
    turn: int
    over: bool
    seed: int
    resets: int
    chance: Any
