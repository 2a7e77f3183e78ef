"""A person at the terminal as a policy: reads the observation, types the action."""

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from lmenvs.types import Action

from .protocols import Conversation


class HumanPolicy:
    """Shows what is new and reads one line for each action.

    Args:
        reader: Where actions are typed; standard input by default.
        writer: Where the game is shown; standard output by default.
    """

    version = 0

    def __init__(self, reader: TextIO | None = None, writer: TextIO | None = None):
        self._reader = reader if reader is not None else sys.stdin
        self._writer = writer if writer is not None else sys.stdout
        self._known: set[str] = set()

    def act(self, conversations: Sequence[Conversation]) -> list[Action]:
        """Ask for one line for each conversation, one after the other.

        Raises:
            EOFError: where the input ends before the episode does.
        """
        return [Action(self._ask(conversation)) for conversation in conversations]

    def _ask(self, conversation: Conversation) -> str:
        if conversation.id not in self._known:
            self._known.add(conversation.id)
            print(conversation.messages[0].content, file=self._writer, end="\n\n")
        print(conversation.messages[-1].content, file=self._writer)
        print("> ", file=self._writer, end="", flush=True)
        line = self._reader.readline()
        if not line:
            raise EOFError("the input ended before the episode did; type an action for every turn")
        return line.rstrip("\r\n")

    def forget(self, ids: Iterable[str]) -> None:
        """These games are over; a new one begins with its instructions."""
        self._known.difference_update(ids)
