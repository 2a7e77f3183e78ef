"""BabyAI: grid worlds with missions in plain language, seen and played in words."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from lmenvs.arguments import check_choice, check_count
from lmenvs.core import OnInvalid, Outcome, TextEnv
from lmenvs.splits import Split, check_split, split_of

from .babyai_rules import (
    ACTIONS,
    NUMBER_OF,
    VIEW,
    Image,
    begin_level,
    describe,
    key_of,
    levels,
    list_objects,
    make_level,
    parse_action,
    parts_done,
)

Reward = Literal["sparse", "timed"]

TURN_LIMIT = 128
DRAWS = 1000  # worlds drawn to find one of the split
SEEDS = 2**31
LATENESS = 0.9  # the part of a timed reward that is lost at the turn limit
_HINT = f"Say one of: {', '.join(ACTIONS)}."


class BabyAI(TextEnv):
    """Do what a mission in plain language says, in a grid world seen in words.

    Description:
        A BabyAI level of MiniGrid: rooms with coloured doors, keys, balls and boxes, drawn by the
        seed, and a mission such as `go to the red ball` or `put the grey key next to a box`. The
        player sees the 7 x 7 cells in front of it, as far as walls and closed doors allow.

    Actions:
        `turn left`, `turn right`, `go forward`, `pick up`, `drop`, `toggle`, in any case and
        spacing; they act on the cell in front. All six are always admissible, even where they
        change nothing. Any other text is `malformed` and changes nothing.

    Observations:
        At first the mission. Then the nearest walls ahead and to both sides, and the things in
        view, nearest first: `You see: a wall 4 steps forward, a red key 2 steps forward and 1 step
        right.` and `You carry nothing.`

    Rewards:
        "sparse": 1 for the completed mission, else 0. "timed": 1 - 0.9 x turns / limit at that
        moment, as in MiniGrid. An invalid text costs its turn under "penalise" (the default) and
        "noop".

    Episode end:
        Terminated when the mission is done (success) or spoilt (some levels forbid the wrong
        thing), and at the turn limit. Never truncated.

    Arguments:
        level: A level of MiniGrid without `BabyAI-` and `-v0`: GoToLocal, PickupLoc, OpenDoor,
            PutNextLocal, UnlockPickup, SynthLoc, BossLevel, ...
        split: "all", or the half ("train", "test") of the worlds by their content.
        reward: "sparse" or "timed".
        turn_limit: 128 by default; large levels need more.

    Capability:
        Grounded language, exploration, planning. The expert is privileged: MiniGrid's own bot,
        which is given the mission as a program (it explores, though, and sees what a player sees).
        Where the bot gives up, as after a box was opened, the expert turns left.

    Source:
        BabyAI (Chevalier-Boisvert et al., 2019) in MiniGrid; the words are this project's, so
        results on other texts of BabyAI (BALROG, Verlog) do not compare. MiniGrid's own turn limit
        and its action `done` are not used.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/BabyAI-v0
        BabyAI-v0
            min 0: by the rules
            max 1: by the rules
            average 0.488 +- 0.016: uniform over legal actions, seeds 0 to 999
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        *,
        level: str = "GoToLocal",
        split: Split = "all",
        reward: Reward = "sparse",
        turn_limit: int = TURN_LIMIT,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        if level not in levels():
            near = difflib.get_close_matches(str(level), levels(), n=1, cutoff=0)
            raise ValueError(
                f"level={level!r}; expected a BabyAI level of MiniGrid, such as {near[0]!r}"
            )
        check_choice("reward", reward, get_args(Reward))
        check_count("turn_limit", turn_limit, 1)
        self.level, self.split = level, check_split(split)
        self.turn_limit = turn_limit
        self.instructions = _instructions(turn_limit)
        self._reward = reward
        self._engine: Any = make_level(level)
        self._bot: _Bot | None = None
        self._world = 0
        self._done: list[int] = []
        self._success = False
        self._view = ""
        self._objects: list[Any] = []

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        for _ in range(DRAWS):
            self._start(int(task.integers(SEEDS)))
            if self.split in ("all", split_of(self.state_key())):
                return f"Mission: {self._engine.mission}.\n{self._view}"
        raise ValueError(
            f"level {self.level!r}: {DRAWS} worlds drawn, none of split {self.split!r}; "
            "use split='all'"
        )

    def _start(self, world: int) -> None:
        self._world, self._done, self._success = world, [], False
        image = begin_level(self._engine, world)
        self._objects = list_objects(self._engine)
        self._look(image)

    def _look(self, image: Image) -> None:
        self._view = describe(image, self._engine.carrying)

    def _play(self, action: str) -> Outcome:
        number = NUMBER_OF.get(action)
        if number is None:
            number = parse_action(action)
        if number is None:
            return self._invalid("malformed", f"{_HINT}\n{self._view}", penalty=0.0)
        ended = self._move(number)
        reward = 0.0
        if self._success:
            assert self.turn_limit is not None
            late = LATENESS * self._turn / self.turn_limit if self._reward == "timed" else 0.0
            reward = 1.0 - late
        return Outcome(self._view, reward=reward, terminated=ended, success=self._success)

    def _move(self, number: int) -> bool:
        self._done.append(number)
        observation, reward, ended, _, _ = self._engine.step(number)
        self._success = bool(ended and reward > 0)
        self._look(observation["image"])
        return bool(ended)

    def _save(self) -> Any:
        return {"world": self._world, "actions": tuple(self._done)}

    def _load(self, state: Any) -> None:
        world, actions = int(state["world"]), list(state["actions"])
        # a state further on in the same episode needs no new world
        if world != self._world or not self._done or self._done != actions[: len(self._done)]:
            self._start(world)
        for number in actions[len(self._done) :]:
            self._move(number)

    def admissible_actions(self) -> list[str]:
        """The six actions."""
        return list(ACTIONS)

    def expert_action(self) -> str:
        """What MiniGrid's bot does after the actions so far; privileged."""
        if self._bot is None or not self._bot.can_follow(self._world, self._done):
            self._bot = _Bot(self.level, self._world)
        return ACTIONS[self._bot.follow(self._done)]

    def progress(self) -> float:
        """The share of the mission's parts that are done: 0 or 1 for a single one."""
        if self._success:
            return 1.0
        done, total = parts_done(self._engine.instrs)
        return min(done, total - 1) / total

    def state_key(self) -> str:
        """A hash of the grid, every thing in it, the player and the state of the mission."""
        return key_of(self._engine, self._objects)


class _Bot:
    """MiniGrid's bot in a world of its own, where it repeats what the player does.

    The bot remembers what it saw, so its advice depends on the whole episode; and asking it must
    not move the environment.
    """

    def __init__(self, level: str, world: int):
        from minigrid.utils.baby_ai_bot import BabyAIBot

        self._world = world
        self._engine = make_level(level)
        begin_level(self._engine, world)
        self._bot: Any = BabyAIBot(self._engine)
        self._done: list[int] = []
        self._advice = self._ask(None)

    def can_follow(self, world: int, actions: list[int]) -> bool:
        return world == self._world and actions[: len(self._done)] == self._done

    def follow(self, actions: list[int]) -> int:
        """The advice after these actions."""
        for number in actions[len(self._done) :]:
            self._done.append(number)
            self._engine.step(number)
            self._advice = self._ask(self._engine.actions(number))
        return self._advice

    def _ask(self, taken: Any) -> int:
        if self._bot is None:
            return 0
        try:
            number = int(self._bot.replan(taken))
        # the bot fails in many ways on worlds that it did not itself bring about; it is not asked
        # again in this episode
        except Exception:
            self._bot = None
            return 0
        return number if number < len(ACTIONS) else 0


def _instructions(turn_limit: int) -> str:
    return (
        "You are in a grid world of rooms. You are told your mission at the start, and each turn "
        f"what you see in the {VIEW} x {VIEW} cells in front of you and what you carry. Do what "
        "the mission says.\n"
        f"Answer with one action and nothing else: {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}. "
        "You pick up, drop and toggle (open or close) on the cell one step in front of you, you "
        "carry one thing at a time, and a locked door opens when you toggle it with the key of its "
        f"colour in hand. You are at a thing when you face it from the next cell. You have "
        f"{turn_limit} turns."
    )
