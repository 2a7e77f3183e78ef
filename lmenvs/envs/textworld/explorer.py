"""What a player knows of a house after some moves, and the next step of one who explores it.

Everything here comes from what was on the screen: the rooms' names, and the commands that were
possible in each of them when the player last stood there.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .relabel import BACK
from .session import State

OPENING = ("open ", "unlock ")
_TRIED = (*OPENING, "close ", "lock ")


@dataclass(frozen=True, slots=True)
class House:
    """A house as far as it was seen.

    Attributes:
        here: The name of the room the player is in.
        offered: For each room entered, the commands that were possible there last.
        ways: For each room entered, where the directions taken lead.
    """

    here: str
    offered: Mapping[str, tuple[str, ...]]
    ways: Mapping[str, Mapping[str, str]]

    def route(self, wanted: Callable[[str], bool]) -> tuple[str, str | None] | None:
        """The nearest room that is wanted, and the first command on the way (None if here)."""
        queue: deque[tuple[str, str | None]] = deque([(self.here, None)])
        visited = {self.here}
        while queue:
            room, first = queue.popleft()
            if wanted(room):
                return room, first
            for direction, other in self.ways[room].items():
                command = f"go {direction}"
                if other not in visited and command in self.offered[room]:
                    visited.add(other)
                    queue.append((other, first or command))
        return None

    def go_to(self, command: str) -> str | None:
        """The command where it is possible now, else the first step to where it was; or None."""
        found = self.route(lambda room: command in self.offered[room])
        return None if found is None else found[1] or command

    def explore(self, openings: Callable[[str], bool] = lambda _: True) -> str | None:
        """Open or enter the nearest thing that was not, or None where all is known.

        Args:
            openings: Which opening commands count.
        """
        found = self.route(lambda room: bool(self._news(room, openings)))
        return None if found is None else found[1] or self._news(found[0], openings)[0]

    def unlock(self) -> str | None:
        """A step towards unlocking what the name of a key fits: fetch the key, or bring it."""
        keys = {
            name: room
            for room, offered in self.offered.items()
            for command in offered
            if (name := _key(command)) is not None
        }
        held = [c[5:] for c in self.offered[self.here] if c.startswith("drop ") and _is_key(c)]
        for key in held:
            found = self.route(lambda room, key=key: self._waits_for(key, room))
            if found is not None and found[1] is not None:
                return found[1]
        for key in keys:
            found = self.route(lambda room, key=key: bool(taking(key, self.offered[room])))
            if found is not None and key not in held:
                return found[1] or taking(key, self.offered[self.here])
        return None

    def _waits_for(self, key: str, room: str) -> bool:
        """Whether a thing that the key's name fits stands in a room, never tried with it."""
        fits = key.rpartition(" ")[0]
        offered = self.offered[room]
        named = [c[8:] for c in offered if c.startswith("examine ") and c[8:] != key]
        return any(
            name.rpartition(" ")[0] == fits
            and not any(c.startswith(_TRIED) and name in c for c in offered)
            for name in named
        )

    def _news(self, room: str, openings: Callable[[str], bool]) -> list[str]:
        offered = self.offered[room]
        news = [c for c in offered if c.startswith(OPENING) and openings(c)]
        return news + [c for c in offered if c.startswith("go ") and c[3:] not in self.ways[room]]


def _is_key(command: str) -> bool:
    return "key" in command.rpartition(" ")[2]


def _key(command: str) -> str | None:
    """The key that a command takes, if it takes one."""
    thing = command.removeprefix("take ").partition(" from ")[0]
    return thing if thing != command and _is_key(thing) else None


def survey(states: Sequence[State], commands: Sequence[str]) -> House:
    """The house after `commands`, which led through `states` (one more than commands)."""
    here = states[0].title
    offered = {here: states[0].commands or ()}
    ways: dict[str, dict[str, str]] = {here: {}}
    for command, state in zip(commands, states[1:], strict=True):
        before, here = here, state.title
        ways.setdefault(here, {})
        offered[here] = state.commands or ()
        direction = command.removeprefix("go ")
        if direction in BACK and here != before:
            ways[before][direction] = here
            ways[here][BACK[direction]] = before
    return House(here, offered, ways)


def taking(thing: str, offered: Sequence[str]) -> str | None:
    """The command among those offered that takes a thing, wherever it lies.

    >>> taking("key", ["take key card", "take key from old chest"])
    'take key from old chest'
    """
    for command in offered:
        if command == f"take {thing}" or command.startswith(f"take {thing} from "):
            return command
    return None
