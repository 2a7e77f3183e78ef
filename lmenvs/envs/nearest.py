"""Which of the running engines of a game plays on, where several stand at different places of it.

An engine can only be played forwards and be put back to its start. One for each game would do, but
where several environments play one game by turns (a group of episodes, the branches of one), each
would take it from the other and play all that it had done once more.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

ALIKE = 16  # engines of one game at most


class Runner(Protocol):
    """An engine somewhere in a game."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """The commands that led there."""
        ...


RunnerT = TypeVar("RunnerT", bound=Runner)


def nearest(
    runners: Sequence[RunnerT], prefix: tuple[str, ...], worth: int, room: bool
) -> RunnerT | None:
    """The engine that gets to `prefix` soonest; None if a new one had better be started.

    Args:
        runners: The engines of this game that run, the one that rested longest first.
        prefix: The commands that lead to where an engine is wanted.
        worth: So many commands take as long as starting an engine.
        room: Another engine may be started without another one being stopped.
    """
    behind = [runner for runner in runners if runner.prefix == prefix[: len(runner.prefix)]]
    if behind:
        return max(behind, key=lambda runner: len(runner.prefix))
    if runners and (len(prefix) <= worth or not room or len(runners) >= ALIKE):
        return runners[0]
    return None
