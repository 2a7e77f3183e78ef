"""ALFWorld: household tasks in text, on TextWorld's PDDL logic, from the data of ALFWorld."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from lmenvs.arguments import check_choice, check_flag, check_path
from lmenvs.core import OnInvalid

from .alfworld_data import PARTS, AlfredGame, shelf, task_of
from .alfworld_world import NOTHING, pddl_logic
from .base import ReplayEnv
from .replay import REPLAYS, Answer

Part = Literal["all", "train", "test", "valid_seen", "valid_unseen"]

TURN_LIMIT = 50
LONGEST = 200  # characters; the longest command of ALFWorld has about 70
TASKS: tuple[str, ...] = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""In ALFWorld's order; its numbers are 1 to 6."""


def read_command(action: str) -> str | None:
    r"""A player's text in the spelling of the game, or None where it is no single short line.

    >>> read_command("  Go to   Fridge 1. "), read_command("go to fridge 1\nlook")
    ('go to fridge 1', None)
    """
    if len(action) > LONGEST or not action.isprintable():
        return None
    return " ".join(action.lower().split()).rstrip(".!").rstrip()


class ALFWorld(ReplayEnv[AlfredGame]):
    """Do a household task: find a thing, perhaps clean, heat or cool it, and put it somewhere.

    Description:
        A room of furniture in which things lie about, some behind doors. Six types of task: put a
        thing somewhere, look at it in light, put it there clean, hot or cool, put two of a kind.
        Nothing says where a thing is. The games are those of ALFWorld's data, on TextWorld's PDDL
        logic, with ALFWorld's names of things.

    Actions:
        One command a turn, in any case and spacing: `go to fridge 1`, `open fridge 1`, `take cup 1
        from table 1`, `move cup 1 to fridge 1`, `clean cup 1 with sinkbasin 1`, `use desklamp 1`,
        `look`, `inventory`, `examine fridge 1`. What this state does not allow is `inadmissible`,
        what begins with no verb of the game `malformed`, and what is not one printable line of at
        most 200 characters `unsafe`; all are answered by `Nothing happens.` and change nothing.

    Observations:
        At first the room and the task; then what the game answers.

    Rewards:
        1 when the task is done, else 0. An invalid text costs its turn under "penalise" (the
        default) and "noop".

    Episode end:
        Terminated when the task is done (success) and at the turn limit. Never truncated.

    Arguments:
        data: ALFWorld's folder json_2.1.1 (pip install alfworld, then alfworld-download), or
            "example": 18 small games of this project's own, for trying out. TextWorld evaluates
            expressions that stand in game files: use only files that you trust.
        split: "train", "valid_seen" or "valid_unseen" as in ALFWorld; "test" is both of the latter,
            "all" everything.
        tasks: Names or ALFWorld's numbers (1 to 6) of the task types; None is all six.
        admissible: End every observation with the line of admissible commands.
        turn_limit: 50 by default, as in ALFWorld's evaluation.
        `reset(options={"game": path})` pins a game by its path in the data folder.

    Capability:
        Exploration, common sense about places, plans of ten to twenty steps. The expert is
        privileged: the planner of TextWorld, which sees everything. It is given the part of the
        room that matters, so that it answers within a second in the largest kitchens too.

    Source:
        ALFWorld (Shridhar et al., 2021); TextWorld (Cote et al., 2018). Games that ALFWorld marks
        as unsolvable are left out, as there.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/ALFWorld-v0
        ALFWorld-v0?data=example
            min 0: by the rules
            max 1: by the rules
            average 0.02 +- 0.0099: uniform over legal actions, seeds 0 to 199
            expert 1 +- 0: the expert, seeds 0 to 199

    Version history:
        v0: first version.
    """

    reset_options: ClassVar[frozenset[str]] = frozenset({"game"})

    def __init__(
        self,
        *,
        data: str | os.PathLike[str] | None = None,
        split: Part = "all",
        tasks: Sequence[str | int] | None = None,
        admissible: bool = False,
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
        if data is None:
            raise ValueError(
                "data=None; expected ALFWorld's folder json_2.1.1; pip install alfworld, run "
                "alfworld-download, and pass data='<its folder>/json_2.1.1' (or data='example')"
            )
        check_path("data", data)
        check_choice("split", split, tuple(PARTS))
        check_flag("admissible", admissible)
        pddl_logic()
        self.split = split
        self._admissible = admissible
        self._shelf = shelf(os.fspath(data))
        wanted = _check_tasks(tasks)
        self._names = [
            name
            for name in self._shelf.names
            if name.split("/")[0] in PARTS[split] and task_of(name) in wanted
        ]
        if not self._names:
            raise ValueError(
                f"data={os.fspath(data)!r} has no game with split={split!r} and tasks={tasks!r}; "
                "ask for another split or other tasks"
            )
        self.instructions = _instructions(turn_limit)

    def _draw_game(self, task: np.random.Generator, options: Mapping[str, Any]) -> AlfredGame:
        pinned = options.get("game")
        if pinned is not None:
            if pinned not in self._names:
                raise ValueError(
                    f"options['game'] = {pinned!r}; expected a path such as {self._names[0]!r}, "
                    "of this environment's split and tasks"
                )
            return self._find_game(pinned)
        for index in task.permutation(len(self._names)).tolist():
            game = self._shelf.game(self._names[index])
            if game is not None:
                return game
        raise ValueError(
            f"all {len(self._names)} games of split={self.split!r} are marked as unsolvable; "
            "download the data again"
        )

    def _find_game(self, name: Any) -> AlfredGame:
        game = self._shelf.game(name) if name in self._shelf.names else None
        if game is None:
            raise ValueError(f"game {name!r} is not in this data or has no solution; pin another")
        return game

    def _name_game(self) -> str:
        return self.game.name

    def _read(self, action: str) -> tuple[str, str | None, str]:
        command = read_command(action)
        if command is None:
            return "", "unsafe", self._show(NOTHING)
        if not command:
            return "", "malformed", self._show(NOTHING)
        return command, None, ""

    def _restart(self) -> Answer:
        first = super()._restart()
        return Answer(self._show(first.text), first.state)

    def _run(self, command: str) -> Answer:
        answer = super()._run(command)
        return Answer(self._show(answer.text), answer.state, answer.error)

    def _show(self, text: str) -> str:
        if not self._admissible or self._state.over:
            return text
        return f"{text}\nCommands: {', '.join(self.admissible_actions())}"

    # ---- what is told of a state ------------------------------------------------------------

    def admissible_actions(self) -> list[str]:
        """The game's own list for this state, sorted; none once the task is done."""
        return [] if self._state.over else list(self._tell("actions") or ())

    def expert_action(self) -> str:
        """The next command of the planner's plan; privileged. `look` where it finds none."""
        plan = self._plan()
        return plan[0] if plan else "look"

    def _plan(self) -> tuple[str, ...]:
        plan = self._tell("plan") or ()
        if plan:
            # following a plan needs no other one
            after = REPLAYS.answer(self.game, self._state, self._commands, plan[0])
            if after.error is None:
                REPLAYS.note(self.game, after.state, "plan", plan[1:])
        return plan

    def answer(self) -> str | None:
        """The planner's commands from the start, one after the other."""
        plan = REPLAYS.tell(self.game, self._first, (), "plan")
        return ", ".join(plan) if plan else None

    def progress(self) -> float:
        """1 minus the planned commands still needed over those needed at first."""
        if self._state.won:
            return 1.0
        first = REPLAYS.tell(self.game, self._first, (), "plan") or ()
        needed = len(self._plan())
        return max(0.0, 1.0 - needed / len(first)) if first and needed else 0.0


def _check_tasks(tasks: Sequence[str | int] | None) -> tuple[str, ...]:
    if tasks is None:
        return TASKS
    given = tasks if isinstance(tasks, list | tuple) else [tasks]
    numbers = dict(enumerate(TASKS, start=1))
    names = tuple(numbers.get(task, task) if type(task) is int else task for task in given)
    unknown = [task for task, name in zip(given, names, strict=True) if name not in TASKS]
    if unknown or not names:
        which = repr(unknown[0]) if unknown else "nothing"
        raise ValueError(
            f"tasks={tasks!r}: {which} is no task type; expected 1 to 6 or names of "
            f"{', '.join(TASKS)}"
        )
    return tuple(map(str, names))


def _instructions(turn_limit: int) -> str:
    return (
        "You are in a room of a house and are told a task. Nothing says where things are: go to "
        "the furniture, open what is closed, and look.\n"
        "Answer with one command a turn and nothing else, such as: go to fridge 1, open fridge 1, "
        "take cup 1 from table 1, move cup 1 to fridge 1, clean cup 1 with sinkbasin 1, heat cup 1 "
        "with microwave 1, cool cup 1 with fridge 1, use desklamp 1, examine fridge 1, look, "
        f"inventory. You carry one thing at a time. You have {turn_limit} turns."
    )
