"""What is being checked, how to make more of it, and how to play it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from ..core import Snapshot, TextEnv

Played = tuple[str, float, bool, dict[str, Any]]
"""(observation, reward, terminated, info)."""

STRINGS: tuple[str, ...] = (
    "",
    " ",
    "\n",
    "\r\n\t",
    "\x00",
    "go\x00north",
    "\x1b[31mred\x1b[0m",
    "\ud800 alone",
    "ends with \udfff",
    "a\nb\nc",
    "look\u2028around\u2029now",
    "שלום עולם",
    "\u202egnihtyreve\u202c",
    "日本語のテキスト",
    "🎲🙂👩‍👩‍👧‍👦",
    "e\u0301\u0327" * 40,
    "x" * 10_000,
    "go " * 4_000,
    '{"action": "go", "n": [1, null, true]}',
    '<tool_call>{"name": "x"}</tool_call>',
    "[[[[[[[[" * 100,
    "%s %d {} {0} %n",
    "../../../etc/passwd",
    "$(reboot); `ls` | cat > out; rm -rf *",
    "'; DROP TABLE games; --",
    "-1",
    "1e309",
    "NaN",
    "9" * 400,
    "٣",
    "quit",
    "restart",
    "save",
    "None",
)
"""Texts that have broken parsers, engines and terminals before."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An environment under test.

    Attributes:
        name: For messages.
        make: A fresh copy; keyword arguments (`on_invalid=...`) go over those it has.
        actions: Further texts worth trying, from whoever asked for the check.
    """

    name: str
    make: Callable[..., TextEnv]
    actions: tuple[str, ...] = ()

    def require(self, condition: bool, message: str) -> None:
        """Raise AssertionError, in one line, unless the condition holds."""
        if not condition:
            raise AssertionError(f"{self.name}: " + " ".join(message.split()))

    def draw(self, env: TextEnv, generator: np.random.Generator) -> str:
        """An action to try: mostly an admissible one, sometimes any text."""
        legal = list(env.admissible_actions() or ()) or [env.expert_action(), *self.actions]
        pool: Sequence[str] = legal if generator.random() < 0.85 else (*STRINGS, *self.actions)
        return pool[int(generator.integers(len(pool)))]

    def walk(self, env: TextEnv, generator: np.random.Generator, turns: int) -> list[str]:
        """Play random turns until the end or the given number; the actions played."""
        actions: list[str] = []
        while len(actions) < turns and not is_over(env):
            actions.append(self.draw(env, generator))
            env.step(actions[-1])
        return actions

    def continuation(self, env: TextEnv, generator: np.random.Generator, turns: int) -> list[str]:
        """Actions that a random walk from here would play; the environment stays."""
        before = env.snapshot()
        actions = self.walk(env, generator, turns)
        env.restore(before)
        return actions


def has_begun(env: TextEnv) -> bool:
    """Whether there has been a reset."""
    try:
        env.snapshot()
    except ResetNeeded:
        return False
    return True


def is_over(env: TextEnv) -> bool:
    """Whether the episode has ended."""
    return env.snapshot().over


def play(env: TextEnv, actions: Sequence[str]) -> list[Played]:
    """What the environment answers, until it ends or the actions do."""
    played: list[Played] = []
    for action in actions:
        observation, reward, terminated, _, info = env.step(action)
        played.append((observation, reward, terminated, info))
        if terminated:
            break
    return played


def with_chance_of(snapshot: Snapshot, other: Snapshot) -> Snapshot:
    """The snapshot with the other's random numbers to come."""
    return replace(snapshot, chance=other.chance)


def short(value: object, limit: int = 80) -> str:
    """A value for a message: its repr, cut."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
