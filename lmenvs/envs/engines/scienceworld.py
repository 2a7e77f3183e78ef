"""ScienceWorld: school science in a simulated house, on the real simulator."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from lmenvs.arguments import check_choice
from lmenvs.core import OnInvalid, TextEnv

from .base import ReplayEnv
from .replay import REPLAYS, State
from .scienceworld_machine import check_installed
from .scienceworld_world import ScienceGame, task_names, variations

Part = Literal["all", "train", "dev", "test"]

TURN_LIMIT = 100
LONGEST = 200  # characters; the simulator's longest actions have about 100
LOOK = "look around"
PARTS: Mapping[str, tuple[str, ...]] = {
    "all": ("train", "dev", "test"),
    "train": ("train",),
    "dev": ("dev",),
    "test": ("test",),
}
SIMPLIFICATIONS = (
    "teleportAction",
    "selfWateringFlowerPots",
    "openContainers",
    "openDoors",
    "noElectricalAction",
)
_UNSAFE = f"Please type one line of printable ASCII characters, at most {LONGEST}."


def read_command(action: str) -> str | None:
    r"""A player's text in the simulator's spelling, or None where it is no single short line.

    >>> read_command(" Open  door to Kitchen "), read_command("wait\nwait")
    ('open door to kitchen', None)
    """
    if len(action) > LONGEST or not (action.isascii() and action.isprintable()):
        return None
    return " ".join(action.lower().split())


class ScienceWorld(ReplayEnv[ScienceGame]):
    """Do an experiment of school science in a house with workshop, kitchen and greenhouse.

    Description:
        30 tasks of ScienceWorld, such as boiling water, finding an animal, growing a plant or
        testing what conducts electricity, each in 10 to 1,386 variations. The world has heat,
        electricity, chemistry, growth and inclined planes; time passes with every action.

    Actions:
        The simulator's own, one a turn, in any case and spacing: `look around`, `go to kitchen`,
        `open cupboard`, `pick up thermometer`, `move pot to stove`, `activate stove`, `use
        thermometer on water`, `focus on water`, `wait`, ... Where an action may mean several
        things, the simulator asks for a number; answer with it or with `cancel`, anything else is
        then `inadmissible`. What the simulator does not understand is `malformed`; what is not one
        line of printable ASCII characters of at most 200 is `unsafe`. Invalid texts take no time of
        the world.

    Observations:
        At first the task and the room; then what the simulator answers.

    Rewards:
        The difference of the simulator's score / 100: 1 in all for a solved task, -1 in all for one
        that is spoilt by focusing on the wrong thing. An invalid text costs its turn under
        "penalise" (the default) and "noop".

    Episode end:
        Terminated at score 100 (success), when the task is spoilt, and at the turn limit. Never
        truncated.

    Arguments:
        task: A name (`boil`, `find-animal`, `test-conductivity`, ...), several, or "all".
        split: "train", "dev" or "test" as in ScienceWorld; "all" is every variation.
        simplifications: "easy" (the simulator's usual set), "" for none, or names from
            teleportAction, selfWateringFlowerPots, openContainers, openDoors, noElectricalAction,
            separated by commas.
        turn_limit: 100 by default, ScienceWorld's own.
        `reset(options={"variation": number})` pins a variation (of the only task).

    Capability:
        Procedures, physical knowledge, patience. The expert is privileged: it follows the
        simulator's gold path as long as the player has, and looks around elsewhere. Some gold paths
        are longer than 100 turns. `admissible_actions()` are the simulator's valid actions, without
        those on things in closed boxes, which it lists but does not understand.

    Source:
        ScienceWorld (Wang et al., 2022), package scienceworld. It needs Java; the process starts
        with the first reset. It is run with constant identity hashes, without which the order of
        some lists would differ from run to run.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/ScienceWorld-v0
        ScienceWorld-v0
            min -1: by the rules
            max 1: by the rules
            average 0.30933 +- 0.07: slow policy, seeds 0 to 29
            uniform -1 +- 0: uniform over legal actions, seeds 0 to 29
            expert 0.88767 +- 0.031: the expert, seeds 0 to 29

    Version history:
        v0: first version.
    """

    reset_options: ClassVar[frozenset[str]] = frozenset({"variation"})

    def __init__(
        self,
        *,
        task: str | Sequence[str] = "boil",
        split: Part = "all",
        simplifications: str = "easy",
        turn_limit: int = TURN_LIMIT,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            turn_limit=turn_limit,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )
        check_installed()
        check_choice("split", split, tuple(PARTS))
        self.split = split
        self._tasks = _check_tasks(task)
        self._simplifications = _check_simplifications(simplifications, self._tasks)
        teleport = simplifications == "easy" or "teleportAction" in simplifications
        self.instructions = _instructions(turn_limit, teleport)

    def _draw_game(self, task: np.random.Generator, options: Mapping[str, Any]) -> ScienceGame:
        name = self._tasks[int(task.integers(len(self._tasks)))]
        sets = variations(name, self._simplifications)
        allowed = [number for part in PARTS[self.split] for number in sets[part]]
        pinned = options.get("variation")
        if pinned is None:
            return self._game_of(name, allowed[int(task.integers(len(allowed)))])
        if len(self._tasks) > 1 or pinned not in allowed:
            raise ValueError(
                f"options['variation'] = {pinned!r}; expected the number of a variation in split "
                f"{self.split!r} of a single task, but this environment has {len(self._tasks)} "
                f"and {name} {len(allowed)} such variations"
            )
        return self._game_of(name, int(pinned))

    def _game_of(self, task: str, variation: int) -> ScienceGame:
        return ScienceGame(task, variation, self._simplifications)

    def _find_game(self, name: Any) -> ScienceGame:
        task, variation = name
        return self._game_of(task, variation)

    def _name_game(self) -> tuple[str, int]:
        return self.game.task, self.game.variation

    def _read(self, action: str) -> tuple[str, str | None, str]:
        command = read_command(action)
        if command is None:
            return "", "unsafe", _UNSAFE
        if not command:
            return "", "malformed", "Please type an action."
        return command, None, ""

    def _gain(self, before: State, after: State) -> float:
        # scores are hundredths; their difference as a float should be one too
        return round(after.score - before.score, 2)

    def admissible_actions(self) -> list[str]:
        """The simulator's valid actions, sorted; none once the task is over."""
        return [] if self._state.over else list(self._tell("actions") or ())

    def expert_action(self) -> str:
        """The next step of the gold path; privileged. `look around` off the path."""
        state, commands = self._first, ()
        for step in self._gold():
            command = read_command(step) or LOOK
            answer = REPLAYS.answer(self.game, state, commands, command)
            if answer.state.key == state.key:
                continue  # it changes nothing
            if state.key == self._state.key:
                return command
            state, commands = answer.state, (*commands, command)
            if state.over:
                break
        return LOOK

    def _gold(self) -> tuple[str, ...]:
        return REPLAYS.tell(self.game, self._first, (), "gold") or ()

    def answer(self) -> str | None:
        """The steps of the gold path, one after the other."""
        return ", ".join(self._gold()) or None

    def progress(self) -> float:
        """The simulator's score, from 0 to 1."""
        return max(0.0, self._state.score)


def slow(env: TextEnv, generator: np.random.Generator) -> str:
    """The player behind "average": the expert in one turn of four, who looks around in others."""
    return env.expert_action() if generator.random() < 0.25 else LOOK


def _check_tasks(task: str | Sequence[str]) -> tuple[str, ...]:
    known = task_names()
    if task == "all":
        return known
    names = tuple(task) if isinstance(task, list | tuple) else (task,)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"task={task!r}; expected 'all' or names of {', '.join(known)}")
    return tuple(map(str, names))


def _check_simplifications(text: str, tasks: Sequence[str]) -> str:
    if text in ("", "easy"):
        return text
    names = text.split(",") if isinstance(text, str) else [text]
    unknown = [name for name in names if name not in SIMPLIFICATIONS]
    if unknown:
        raise ValueError(
            f"simplifications={text!r}; expected 'easy', '' or names of "
            f"{', '.join(SIMPLIFICATIONS)}, separated by commas"
        )
    wired = [task for task in tasks if ScienceGame(task, 0, text).machine[1]]
    if "noElectricalAction" in names and wired:
        raise ValueError(
            f"simplifications={text!r} leaves task {wired[0]!r} without a solution; leave out "
            "noElectricalAction or the task"
        )
    return ",".join(sorted(names))


def _instructions(turn_limit: int, teleport: bool) -> str:
    going = "teleport to kitchen" if teleport else "go to kitchen"
    return (
        "You are in a house with a laboratory's worth of things and are told a task of school "
        "science. Time passes with every action.\n"
        f"Answer with one action a turn and nothing else, such as: look around, inventory, {going},"
        " open door to kitchen, pick up thermometer, move pot to stove, pour cup in pot, activate "
        "stove, use thermometer on water, look at water, look in pot, read recipe, mix pot, eat "
        "apple, connect battery anode to red wire terminal 1, focus on water, wait, wait1, task. "
        "Focus only on what the task asks you to focus on: the wrong thing spoils it. If you are "
        "asked which of several actions you mean, answer with its number or with cancel. You have "
        f"{turn_limit} turns."
    )
