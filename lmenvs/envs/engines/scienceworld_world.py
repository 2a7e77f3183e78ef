"""One running game of ScienceWorld's simulator: its answers, its state, its lists of actions."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from .replay import Answer, State
from .scienceworld_machine import MACHINES, Machine

UNKNOWN = ("No known action matches that input", "Unknown action.")
AMBIGUOUS = "Ambiguous request"
CANCEL = "cancel"
FOCUS, PUT_DOWN, TELEPORT = "focus on ", "put down ", "teleport to "
INVENTORY = "inventory"
PERCENT = 100
_ELECTRICAL = ("power-component", "conductivity")


@lru_cache(maxsize=1)
def task_names() -> tuple[str, ...]:
    """The 30 tasks in ScienceWorld's order."""
    from scienceworld.constants import ID2TASK

    return tuple(ID2TASK.values())


@dataclass(frozen=True, slots=True)
class ScienceGame:
    """A variation of a task; see `replay.Game`."""

    task: str
    variation: int
    simplifications: str

    @property
    def key(self) -> str:
        """Its name: the simulator's version belongs to the environment's."""
        return f"{self.task}/{self.variation}/{self.simplifications}"

    @property
    def machine(self) -> tuple[str, bool]:
        """Games of one such name may share a Java process."""
        return self.simplifications, any(word in self.task for word in _ELECTRICAL)

    def open(self) -> "ScienceWorldSession":
        """A running world at the start."""
        return ScienceWorldSession(self)


@lru_cache(maxsize=1024)
def variations(task: str, simplifications: str) -> dict[str, tuple[int, ...]]:
    """The variations of a task, by ScienceWorld's own split: train, dev, test."""
    game = ScienceGame(task, 0, simplifications)
    machine = MACHINES.enter(game.machine)
    try:
        session = machine.session()
        session.load(task, 0, simplifications, False)
        return {
            "train": tuple(session.getVariationsTrain()),
            "dev": tuple(session.getVariationsDev()),
            "test": tuple(session.getVariationsTest()),
        }
    finally:
        MACHINES.leave(machine)


class ScienceWorldSession:
    """A running game; see `replay.World`."""

    def __init__(self, game: ScienceGame):
        self._game = game
        self._machine: Machine | None = MACHINES.enter(game.machine)
        self._session: Any = self._machine.session()
        self._load(self._session, gold=False)
        self._choices: tuple[str, ...] = ()
        self.prefix: tuple[str, ...] = ()
        self._actions: tuple[str, ...] = ()
        self._state = State("")
        # goals are counted when something is done: every game begins with the same first look
        self._first: Answer | None = self._look()

    def _load(self, session: Any, gold: bool) -> None:
        session.load(self._game.task, self._game.variation, self._game.simplifications, gold)

    def begin(self) -> Answer:
        """Go back to the start: the task and the first room."""
        if self._first is None:
            self._session.reset()
            self._first = self._look()
        return self._first

    def _look(self) -> Answer:
        self.prefix, self._choices = (), ()
        self._state = self._situation()
        room = self._session.step("look around").strip()
        return Answer(f"{self._task()}\n\n{room}", self._state)

    def _task(self) -> str:
        return " ".join(self._session.getTaskDescription().split())

    def run(self, command: str) -> Answer:
        """Play one command; one that is not understood takes no time.

        Where a command may mean several things, the simulator asks for a number, and takes every
        other text as the answer "none of them"; here only `cancel` says that.
        """
        if self._choices and command not in (*self._choices, CANCEL):
            return Answer(self._question(), self._state, "inadmissible")
        self._first = None  # the way back is a reset
        asked, moves = bool(self._choices), self._session.getNumMoves()
        text = self._session.step("" if asked and command == CANCEL else command).strip()
        if text.startswith(UNKNOWN) and not asked:
            return Answer(text, self._state, "malformed")
        if asked and command == CANCEL:
            text = "Never mind."
        self._choices = _choices(text)
        if self._session.getNumMoves() != moves or self._choices or asked:
            self.prefix = (*self.prefix, command)
            self._state = self._situation()
        return Answer(text.replace("blank to cancel", CANCEL), self._state)

    def _question(self) -> str:
        return f"Please answer with a number from 0 to {len(self._choices) - 1}, or {CANCEL}."

    def _situation(self) -> State:
        told = repr((self.prefix, self._choices))
        key = blake2b(told.encode(), digest_size=12).hexdigest()
        score = round(PERCENT * self._session.getScore()) / PERCENT
        over = bool(self._session.getCompleted()) or score < 0
        self._actions = self._listed()
        return State(key, score, over, over and score >= 1.0)

    def _listed(self) -> tuple[str, ...]:
        """The valid actions on things that a player can refer to.

        They are listed in every state, wanted or not, as the simulator's own wrapper does: it tells
        equal things apart ("bee 2") by the numbers that it gave at the last listing. It also lists
        things in closed boxes, of which a player cannot know and its parser wants to know nothing.
        """
        listed = json.loads(self._session.getValidActionObjectCombinationsJSON())["validActions"]
        sight = json.loads(self._session.getPossibleObjectReferentLUTJSON())
        seen = {int(number) for number in sight}
        names: dict[int, str] = {}
        carried: set[int] = set()
        for entry in listed:
            action, things = entry["action"], entry["obj_ids"]
            if action.startswith(FOCUS):
                names[things[0]] = action.removeprefix(FOCUS)
            elif action.startswith(PUT_DOWN):
                carried.add(things[0])
        seen |= carried | self._held(names, carried)
        actions = {
            sys.intern(entry["action"])  # many states have the same thousand actions
            for entry in listed
            if seen.issuperset(entry["obj_ids"]) or entry["action"].startswith(TELEPORT)
        }
        return tuple(sorted(actions))

    def _held(self, names: dict[int, str], carried: set[int]) -> set[int]:
        """The inventory itself, and what is in the things that are carried."""
        inventory = self._session.freeActionInventory()
        places = {INVENTORY, *(names.get(thing, "") for thing in carried)}
        held: set[int] = set()
        for thing, name in names.items():
            _, inside, place = name.rpartition(" in ")
            if name == INVENTORY or (place in places if inside else name in inventory):
                held.add(thing)
        return held

    def tell(self, question: str) -> tuple[str, ...] | None:
        """The "actions" that are possible now, or the "gold" path from the start."""
        if question == "gold":
            return self._gold()
        assert question == "actions", question
        if self._choices:
            return (*self._choices, CANCEL)
        return self._actions

    def _gold(self) -> tuple[str, ...]:
        assert self._machine is not None
        other = self._machine.session()
        self._load(other, gold=True)
        path: Sequence[str] = list(other.getGoldActionSequence())
        return () if any(step.startswith("ERROR") for step in path) else tuple(path)

    def close(self) -> None:
        """Let go of the session; the Java process stays for the next one."""
        if self._machine is not None:
            self._session = None
            MACHINES.leave(self._machine)
            self._machine = None


def _choices(text: str) -> tuple[str, ...]:
    if not text.startswith(AMBIGUOUS):
        return ()
    heads = [line.split(":")[0].strip() for line in text.split("\n")[1:]]
    return tuple(head for head in heads if head.isdigit())
