"""Worlds that can only be played forwards: those that run in this process, and what they answered.

A `World` is an engine at some place of a game. Answers are remembered by (game, state, command) in
a bounded table for the whole process; only a miss needs a running world: the nearest one is brought
to the state by the commands that led there, or a new one where the way is long. At most `WORLDS`
run at a time, whatever the number of environments; a forked process never touches those of its
parent.
"""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..nearest import nearest

WORLDS = 32
WORTH = 5  # commands take about as long as opening a world, give or take the engine
REMEMBERED = 20_000  # answers in memory, one to five kilobytes each
TOLD = 2_000  # lists of actions in memory, up to some ten kilobytes each


@dataclass(frozen=True, slots=True)
class State:
    """A situation in a game.

    Attributes:
        key: Equal keys of one game have equal futures.
        score: The cumulative score.
        over: The game ended.
        won: The game ended well.
    """

    key: str
    score: float = 0.0
    over: bool = False
    won: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command leads to.

    Attributes:
        text: The engine's words.
        state: The state after it; the same as before if it changed nothing.
        error: None, or why it was no action of this state (one of `lmenvs.core.ERRORS`).
    """

    text: str
    state: State
    error: str | None = None


class World(Protocol):
    """An engine at some place of a game."""

    prefix: tuple[str, ...]
    """The commands that changed something on the way here."""

    def begin(self) -> Answer:
        """Go back to the start: the first words and state."""
        ...

    def run(self, command: str) -> Answer:
        """Play one command. Where the state's key stays, nothing at all has changed."""
        ...

    def tell(self, question: str) -> tuple[str, ...] | None:
        """Something about this state, such as its "actions"; it changes nothing."""
        ...

    def close(self) -> None:
        """Free the engine."""
        ...


class Game(Protocol):
    """A game that an engine can play: its rules and one hidden task."""

    @property
    def key(self) -> str:
        """Its content, hashed: equal keys are equal games."""
        ...

    def open(self) -> World:
        """A running world at the start."""
        ...


Told = tuple[str, ...] | None
AskedT = TypeVar("AskedT")


class Replays:
    """The process's running worlds and its memory of answers."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._worlds: list[tuple[str, World]] = []
        self._starts: OrderedDict[str, Answer] = OrderedDict()
        self._answers: OrderedDict[tuple[str, str, str], Answer] = OrderedDict()
        self._told: OrderedDict[tuple[str, str, str], Told] = OrderedDict()
        self._parents: list[Any] = []
        self.users: weakref.WeakSet[Any] = weakref.WeakSet()
        self.misses = 0

    def start(self, game: Game) -> Answer:
        """A game's first words and state."""
        with self._lock:
            found = self._starts.get(game.key)
            if found is None:
                found = self._starts[game.key] = self._ask(game, (), lambda world: world.begin())
                _trim(self._starts, REMEMBERED)
            return found

    def answer(self, game: Game, state: State, prefix: tuple[str, ...], command: str) -> Answer:
        """What a command leads to in a state that `prefix` reached from the start."""
        name = (game.key, state.key, command)
        with self._lock:
            found = self._answers.get(name)
            if found is None:
                self.misses += 1
                found = self._ask(game, prefix, lambda world: world.run(command))
                self._answers[name] = found
                _trim(self._answers, REMEMBERED)
            else:
                self._answers.move_to_end(name)
            return found

    def tell(self, game: Game, state: State, prefix: tuple[str, ...], question: str) -> Told:
        """What a world says of a state that `prefix` reached from the start."""
        name = (game.key, state.key, question)
        with self._lock:
            if name not in self._told:
                self._told[name] = self._ask(game, prefix, lambda world: world.tell(question))
                _trim(self._told, TOLD)
            return self._told[name]

    def note(self, game: Game, state: State, question: str, told: Told) -> None:
        """Remember what a world need not be asked, because it follows from what it told before."""
        with self._lock:
            self._told.setdefault((game.key, state.key, question), told)
            _trim(self._told, TOLD)

    def _ask(
        self, game: Game, prefix: tuple[str, ...], question: Callable[[World], AskedT]
    ) -> AskedT:
        """The answer of a world that `prefix` has brought to its place."""
        at = [world for key, world in self._worlds if key == game.key]
        world = nearest(at, prefix, WORTH, room=len(self._worlds) < WORLDS)
        if world is None:
            while len(self._worlds) >= WORLDS:
                self._worlds.pop(0)[1].close()
            world = game.open()
        else:
            self._worlds = [entry for entry in self._worlds if entry[1] is not world]
        try:
            if world.prefix != prefix[: len(world.prefix)]:
                world.begin()
            for command in prefix[len(world.prefix) :]:
                world.run(command)
            answer = question(world)
        except BaseException:  # a user's Ctrl-C among them
            world.close()  # it stands nobody knows where
            raise
        self._worlds.append((game.key, world))
        return answer

    def forget(self) -> None:
        """Drop all that is remembered, and the worlds."""
        with self._lock:
            for table in (self._starts, self._answers, self._told):
                table.clear()
            self.close()

    def close(self) -> None:
        """Free the worlds."""
        with self._lock:
            while self._worlds:
                self._worlds.pop()[1].close()

    def leave(self, user: object) -> None:
        """An environment is closed; the last one frees the worlds."""
        self.users.discard(user)
        if not self.users:
            self.close()

    def after_fork(self) -> None:
        """Leave the parent's worlds alone: even to free them would reach into their engines."""
        self._parents.append(self._worlds)
        self._worlds = []
        self._lock = threading.RLock()  # another thread of the parent may have held the old one


def _trim(table: OrderedDict[Any, Any], most: int) -> None:
    while len(table) > most:
        table.popitem(last=False)


REPLAYS = Replays()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=REPLAYS.after_fork)
