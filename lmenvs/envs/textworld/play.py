"""The process's interpreters, and its memory of what they answered.

Answers are remembered by (game, state, command) in a bounded table for the whole process. Every
entry comes from the interpreter: on a miss the nearest one is brought to the state by the commands
that changed something, or a new one where the way is long. At most `SESSIONS` interpreters run at a
time, whatever the number of environments; a forked process never touches those of its parent.
"""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from ..nearest import nearest
from . import plan
from .games import Game
from .session import Answer, Session, State

SESSIONS = 128  # a megabyte each; with fewer than games in play, every turn would reopen one
WORTH = 6  # commands take as long as starting an interpreter
REMEMBERED = 50_000  # answers in memory, one to two kilobytes each


AskedT = TypeVar("AskedT")


class Player:
    """The process's interpreters and its memory of answers."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._sessions: list[Session] = []
        self._answers: OrderedDict[tuple[str, str, str], Answer] = OrderedDict()
        self._starts: OrderedDict[tuple[str, bool], tuple[str, Answer]] = OrderedDict()
        self.users: weakref.WeakSet[Any] = weakref.WeakSet()
        self.misses = 0
        self._parents: list[list[Session]] = []

    def start(self, game: Game, planned: bool = True) -> tuple[str, Answer]:
        """A game's first words and state: (introduction, first room)."""
        with self._lock:
            found = self._starts.get((game.key, planned))
            if found is None:
                found = self._ask(game, planned, (), _first)
                self._starts[game.key, planned] = found
                _trim(self._starts)
            return found

    def answer(
        self,
        game: Game,
        state: State,
        prefix: tuple[str, ...],
        command: str,
        planned: bool = True,
    ) -> Answer:
        """What a command leads to in a state that `prefix` reached from the start.

        Args:
            game: What is played.
            state: Where; its key tells states with a plan from states without.
            prefix: The commands that led there.
            command: What the player types.
            planned: Follow TextWorld's plan, as `start` did.
        """
        name = (game.key, state.key, command)
        with self._lock:
            found = self._answers.get(name)
            if found is None:
                self.misses += 1
                found = self._ask(game, planned, prefix, lambda session: session.run(command))
                self._answers[name] = found
                _trim(self._answers)
            else:
                self._answers.move_to_end(name)
            return found

    def _ask(
        self,
        game: Game,
        planned: bool,
        prefix: tuple[str, ...],
        question: Callable[[Session], AskedT],
    ) -> AskedT:
        """The answer of an interpreter that `prefix` has brought to its place."""
        at = [s for s in self._sessions if s.planned == planned and s.game.key == game.key]
        session = nearest(at, prefix, WORTH, room=len(self._sessions) < SESSIONS)
        if session is None:
            session = Session(game, planned)
            while len(self._sessions) >= SESSIONS:
                self._sessions.pop(0).close()
        else:
            self._sessions.remove(session)
        try:
            if session.prefix != prefix[: len(session.prefix)]:
                session.begin()
            for command in prefix[len(session.prefix) :]:
                session.run(command)
            answer = question(session)
        except BaseException:  # a user's Ctrl-C among them
            session.close()  # it stands nobody knows where
            raise
        self._sessions.append(session)
        return answer

    def forget(self) -> None:
        """Drop all that is remembered, and the interpreters."""
        with self._lock:
            self.forget_answers()
            self._starts.clear()
            self.close()

    def forget_answers(self) -> None:
        """Drop what the interpreters answered and what it allowed; they stay where they are."""
        with self._lock:
            self._answers.clear()
            plan.forget()

    def close(self) -> None:
        """Free the interpreters."""
        with self._lock:
            while self._sessions:
                self._sessions.pop().close()

    def leave(self, user: object) -> None:
        """An environment is closed; the last one frees the interpreters."""
        self.users.discard(user)
        if not self.users:
            self.close()

    def after_fork(self) -> None:
        """Leave the parent's interpreters alone: even to free them would run their C code."""
        self._parents.append(self._sessions)
        self._sessions = []
        self._lock = threading.RLock()  # another thread of the parent may have held the old one


def _first(session: Session) -> tuple[str, Answer]:
    return session.introduction, Answer(session.first_text, session.state)


def _trim(table: OrderedDict[Any, Any]) -> None:
    while len(table) > REMEMBERED:
        table.popitem(last=False)


PLAYER = Player()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PLAYER.after_fork)
