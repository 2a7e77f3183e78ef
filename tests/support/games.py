"""Small environments and policies for the tests of rollouts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np

from agents.protocols import Conversation
from lmenvs import TABLE, Action, Outcome, TextEnv
from lmenvs.registration import EnvSpec


class Dice(TextEnv):
    """Roll a die as often as you like and stop at the hidden target (drawn by the seed).

    The first roll is made before the first observation, so that chance shows at once. `crash`
    breaks the environment, as a bug in it would.
    """

    instructions = "Say roll or stop."

    def __init__(self, sides: int = 6, split: str = "all", **kwargs: Any):
        super().__init__(**kwargs)
        self.sides = sides
        self.split = split

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        # even targets are the training half
        self._target = 2 * int(task.integers(2, 30)) + (self.split == "test")
        self._total = int(self.np_random.integers(1, self.sides + 1))
        return f"Total {self._total}."

    def _play(self, action: str) -> Outcome:
        if action == "crash":
            raise RuntimeError("the table broke")
        if action == "stop":
            distance = abs(self._target - self._total)
            return Outcome("Stopped.", -float(distance), terminated=True, success=distance == 0)
        if action != "roll":
            return self._invalid("malformed", "Say roll or stop.", penalty=-1.0)
        self._total += int(self.np_random.integers(1, self.sides + 1))
        return Outcome(f"Total {self._total}.", feedback="clatter", cost=0.25)

    def _save(self) -> tuple[int, int]:
        return (self._target, self._total)

    def _load(self, state: tuple[int, int]) -> None:
        self._target, self._total = state

    def admissible_actions(self) -> list[str]:
        return ["roll", "stop"]

    def expert_action(self) -> str:
        return "stop" if self._total >= self._target else "roll"

    def progress(self) -> float:
        return min(1.0, self._total / self._target)

    def answer(self) -> str:
        return str(self._target)

    def state_key(self) -> str:
        return f"{self._target} {self._total}"


@contextmanager
def dice_in_the_table() -> Iterator[str]:
    """The id under which env strings find Dice while the block runs."""
    name = "lmenvs/Dice-v0"
    TABLE[name] = EnvSpec(
        id=name,
        entry_point="tests.support.games:Dice",
        summary="Stop at the hidden target",
        turn_limit=None,
        return_range=(-100.0, 0.0),
        tags=frozenset(),
    )
    gymnasium.register(
        name, entry_point=TABLE[name].entry_point, order_enforce=False, disable_env_checker=True
    )
    try:
        yield name
    finally:
        del TABLE[name], gymnasium.registry[name]


class Scripted:
    """Answers by a function of the conversation; keeps all that it was asked and told to forget."""

    def __init__(self, answer: Callable[[Conversation], str | Action], version: int = 0):
        self._answer = answer
        self.version = version
        self.asked: list[Conversation] = []
        self.widths: list[int] = []
        self.forgotten: list[str] = []

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        self.asked += conversations
        self.widths.append(len(conversations))
        answers = [self._answer(conversation) for conversation in conversations]
        return [Action(one) if isinstance(one, str) else one for one in answers]

    def forget(self, ids: Iterable[str]) -> None:
        self.forgotten += ids


def in_turn(*texts: str) -> Scripted:
    """Says these one after the other in every conversation, the last one for ever."""
    return Scripted(lambda one: texts[min(len(one.messages) // 2 - 1, len(texts) - 1)])


def rolls(turns: int) -> Scripted:
    """Rolls so many times, then stops."""
    return in_turn(*["roll"] * turns, "stop")


def on_seed(seed: int, said: str, turn: int = 1) -> Scripted:
    """Rolls three times and stops, but says something else to one seed at one turn."""

    def answer(one: Conversation) -> str:
        if one.seed[1] == seed and one.seed[-1] == turn:
            return said
        return "roll" if one.seed[-1] < 3 else "stop"

    return Scripted(answer)
