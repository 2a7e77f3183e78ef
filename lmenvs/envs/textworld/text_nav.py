"""Text-Nav: put the stale food into the fridge of a house that is always the same."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np

from lmenvs.arguments import check_choice
from lmenvs.core import NoExactModel, OnInvalid, TextEnv

from .base import TextWorldEnv
from .engine import TITLE_LINE
from .games import Game
from .nav_house import EXITS, ROOMS, solution, way

TURN_LIMIT = 15
FOOD = "stale food"
PUT, CLOSE = f"insert {FOOD} into fridge", "close fridge"
GOAL = (
    f"Goal: put the {FOOD}, which is on the table in the living room, into the fridge in the "
    "kitchen, and close the fridge."
)
Observability = Literal["full", "partial"]

_BY_EXITS = {frozenset(exits): room for room, exits in EXITS.items()}
_ROOM_NAME = re.compile(
    r"\b(?:an? )?(?:" + "|".join(sorted(ROOMS, key=len, reverse=True)) + r")\b", re.IGNORECASE
)


@lru_cache(maxsize=1024)
def hide_rooms(text: str) -> str:
    r"""A text without the room's title and with no room's name in it.

    >>> hide_rooms("-= Living Room =-\nYou've entered a living room. A table.")
    "You've entered a room. A table."
    """
    return _ROOM_NAME.sub(_nameless, TITLE_LINE.sub("", text)).strip()


def _nameless(match: re.Match[str]) -> str:
    found = match.group(0)
    if found[0] in "aA" and " " in found and found.lower() not in ROOMS:
        return found[0] + " room"
    return "Room" if found[0].isupper() else "room"


class TextNav(TextWorldEnv):
    """Carry a stale food from the living room's table into the kitchen's fridge.

    Description:
        A house of eight rooms, the same in every episode; the player starts in a random one. Seven
        things lie about, two of the containers are closed. With `observability="full"` every
        observation names the room and tells what the player carries; with "partial" it does
        neither, and the player has to know a room by what is in it and by its exits.

    Actions:
        Commands such as `go west`, `take stale food from table`, `open fridge`, in any case and
        spacing, in quotes or asterisks, with or without a full stop; TextWorld's synonyms (`w`,
        `get`, `x`, `i`) work too. A text that is not one line of printable characters of at most
        198 is `unsafe`; one that the parser cannot read, a meta-command (`restart`, `save`, `undo`,
        ...), several commands or things in one line (`then`, `and`, `all`), or a pronoun is
        `malformed`; a command that this state does not allow is `inadmissible`. Invalid texts
        change nothing; they are answered by the environment, or by the interpreter where it
        understands them. `admissible_actions()` leaves out `look`, `inventory` and `examine`, which
        change nothing.

    Observations:
        At first the goal and the room; then what the interpreter answers, without banner, status
        line and turn count. Each ends, unless `admissible` is False, with the line of admissible
        commands. See Description for the two views.

    Rewards:
        1 when the stale food is in the closed fridge, else 0. An invalid action costs nothing but
        its turn under "penalise" (the default) and "noop".

    Episode end:
        Terminated when the food is in the closed fridge (success), when it was eaten, and after 15
        turns; the longest shortest way takes 9. Never truncated.

    Arguments:
        observability: "full" or "partial".
        admissible: End every observation with the line of admissible commands.
        turn_limit: 15.
        `reset(options={"start": "kitchen"})` chooses the room of the start.

    Capability:
        Navigation and a short plan with objects; with the partial view also localisation. The
        expert is fair: it knows the house, tells rooms apart by their exits and remembers where it
        last saw the food.

    Source:
        House, things, goal, rewards and limit of the Text-Nav task of LMRL-Gym (Abdulhai et al.,
        2023), played on TextWorld's interpreter as installed (LMRL-Gym changed TextWorld to hide
        the rooms' names; here the environment does). Texts differ from theirs, and so does the
        player behind "average" (`mixed_policy`), so their figures are not bounds of this task.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/TextNav-v0
        TextNav-v0
            min 0: by the rules
            max 1: by the rules
            average 0.254 +- 0.014: mixed_policy policy, seeds 0 to 999
            uniform 0 +- 0: uniform over legal actions, seeds 0 to 999
            expert 1 +- 0: the expert, seeds 0 to 999
        TextNav-v0?observability=partial
            min 0: by the rules
            max 1: by the rules
            average 0.254 +- 0.014: mixed_policy policy, seeds 0 to 999
            uniform 0 +- 0: uniform over legal actions, seeds 0 to 999
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    reset_options: ClassVar[frozenset[str]] = frozenset({"start"})
    lists_looking = False
    planned = False

    def __init__(
        self,
        *,
        observability: Observability = "full",
        admissible: bool = True,
        turn_limit: int = TURN_LIMIT,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        check_choice("observability", observability, ("full", "partial"))
        self.observability: Observability = observability
        super().__init__(
            family="text_nav",
            turn_limit=turn_limit,
            games=len(ROOMS),
            admissible=admissible,
            on_invalid=on_invalid,
            admissible_info=admissible_info,
            render_mode=render_mode,
        )

    def _instructions(self) -> str:
        return (
            "You are in a house and have a goal. Answer with one command a turn, such as: go west, "
            "take stale food from table, open fridge, insert stale food into fridge. You have "
            f"{self.turn_limit} turns."
        )

    def _goal(self) -> str:
        return GOAL

    def _draw_game(self, task: np.random.Generator, options: Mapping[str, Any]) -> tuple[int, Game]:
        number, start = int(task.integers(len(ROOMS))), options.get("start")
        if start is not None:
            check_choice("options['start']", start, ROOMS)
            number = ROOMS.index(start)
        return number, self._find(number)

    def _games(self) -> list[tuple[int, Game]]:
        raise NoExactModel("TextNav has no exact model: its things can lie in too many ways")

    def _shorten(self, text: str) -> str:
        return text if self.observability == "full" else hide_rooms(text)

    def _show(self, text: str) -> str:
        if self.observability == "full" and not self._state.over:
            text = f"{text}\n\n{self._ask('inventory').text}"
        return super()._show(text)

    # ---- the expert, and progress -----------------------------------------------------------

    def _room(self, back: int = 1) -> str:
        """The room, known by its exits, `back` states ago (1 is now)."""
        commands = self._states[-back].commands or ()
        return _BY_EXITS[frozenset(c[3:] for c in commands if c.startswith("go "))]

    def _last_seen(self) -> tuple[str, bool, bool]:
        """(room where the food was last, whether the player holds it, whether it is shut in)."""
        for back in range(1, len(self._states) + 1):
            commands = self._states[-back].commands or ()
            if f"drop {FOOD}" in commands:
                return self._room(back), back == 1, False
            if any(command.startswith(f"take {FOOD}") for command in commands):
                hidden = back > 1 and self._room() == self._room(back)
                return self._room(back), False, hidden
        return "living room", False, False

    def _plan(self) -> list[str]:
        """Commands that win from here, by what the player has seen."""
        commands = self._state.commands or ()
        here, (there, held, shut) = self._room(), self._last_seen()
        if f"take {FOOD} from fridge" in commands:
            return [CLOSE]
        steps: list[str] = []
        if not held:
            steps += [f"go {direction}" for direction in way(here, there)]
            taking = [c for c in commands if c.startswith(f"take {FOOD}")]
            if shut:
                steps += [c for c in commands if c in ("open chest", "open fridge")]
            steps += taking or [f"take {FOOD} from table"]
            here = there
        steps += [f"go {direction}" for direction in way(here, "kitchen")]
        return [*steps, *([] if self._fridge_is_open() else ["open fridge"]), PUT, CLOSE]

    def _fridge_is_open(self) -> bool:
        for state in reversed(self._states):
            for command, is_open in ((CLOSE, True), ("open fridge", False)):
                if command in (state.commands or ()):
                    return is_open
        return False

    def expert_action(self) -> str:
        """The next command of the shortest plan, by what the player has seen; fair."""
        return "look" if self._state.over else self._plan()[0]

    def progress(self) -> float:
        """1 minus the commands still needed over those needed at first; 1.0 exactly at success."""
        if self._state.over:
            return float(self._state.won)
        return max(0.0, 1.0 - len(self._plan()) / len(solution(ROOMS[self._number])))


def mixed_policy(env: TextEnv, generator: np.random.Generator) -> str:
    """The player behind "average": the expert's command in every second turn, else any command."""
    if generator.random() < 0.5:
        return env.expert_action()
    actions = env.admissible_actions() or ["look"]
    return actions[int(generator.integers(len(actions)))]
