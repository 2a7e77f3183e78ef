"""DelayedKey: one choice that matters, many turns that do not, and then the reward."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from lmenvs.arguments import check_count
from lmenvs.core import OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.decoration import bare

OPEN_REWARD = 1.0
INVALID_REWARD = -0.1
MOST_DELAY = 1000

COLOURS = ("red", "blue", "green", "yellow", "white", "black", "silver", "golden")
WALK = "walk on"
DISTRACTORS = (WALK, "hum a tune", "look at the pictures")
_CHOOSE = "You have to take one of the keys, so you walk on without one."
_AMBLE = "That is not something to do here; you walk on all the same."
_OVER = "The game is over."


def _spellings() -> dict[str, str]:
    spelled = {text: text for text in DISTRACTORS}
    for colour in COLOURS:
        for text in (f"take the {colour} key", f"take {colour} key", f"{colour} key", colour):
            spelled[text] = colour
    return spelled


_MEANINGS = _spellings()


def parse_action(text: str) -> str | None:
    """The colour of the key that a text takes, or the distractor that it is, or None.

    A key may be named in full or by its colour, decorated (`decoration.bare`) or not. Whether it
    lies on the table is not decided here.

    >>> parse_action("Take the RED key."), parse_action("red"), parse_action("walk on")
    ('red', 'red', 'walk on')
    """
    return _MEANINGS.get(bare(text))


class DelayedKey(TextEnv):
    """Take the right one of some keys, then walk a corridor to the door that it opens.

    Description:
        Keys of different colours lie on a table, and a sign says which of them opens the door at
        the end of the corridor. The first turn takes a key; the `delay` turns after it are spent in
        the corridor, where every action leads one step on and changes nothing else; the last step
        leads to the door. The reward follows its cause by exactly `delay` turns, so the true
        advantage is known: that of the key on the first turn, 0 on all others.

    Actions:
        At the table `take the red key` (or `take red key`, `red key`, `red`), with the colours that
        lie there. In the corridor `walk on`, `hum a tune`, `look at the pictures`. Any case and
        spacing, in quotes or asterisks, with a full stop or not. Text that is none of these is
        `malformed`, a key that is not on the table `unknown`, an action in the wrong place
        `inadmissible`. An invalid action does not stop the walk: at the table it means walking on
        without a key, in the corridor it leads one step on.

    Observations:
        First the keys and the sign, then how many steps the door is away, in the end whether it
        opens. Which key was taken is not told again. An invalid action is answered by a sentence in
        front.

    Rewards:
        +1 on the last turn if the right key was taken, 0 otherwise. An invalid action costs 0.1
        under `on_invalid="penalise"` (the default) and "terminate", 0 under "noop".

    Episode end:
        Terminated at the door, after `delay` + 1 turns; success if it opens. Under
        `on_invalid="terminate"` also on an invalid action. Never truncated.

    Arguments:
        delay: Turns in the corridor, 0 to 1000; with 0 the table stands before the door.
        keys: How many keys there are, 2 to 8. The right one is drawn uniformly.
        Option `key` of `reset`: the colour of the right key.

    Capability:
        Credit over a delay; keeping to the format while nothing happens.

    Source:
        This project, after Key-to-Door (Hung et al., 2019) and bsuite's umbrella chain (Osband et
        al., 2020).

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/DelayedKey-v0
        DelayedKey-v0
            min 0: a wrong key; no legal play does worse
            average 0.33333 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 99
        DelayedKey-v0?delay=20
            min 0: a wrong key; no legal play does worse
            average 0.33333 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 99

    Version history:
        v0: first version.
    """

    reset_options = frozenset({"key"})

    def __init__(
        self,
        delay: int = 5,
        keys: int = 3,
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_count("delay", delay, 0, MOST_DELAY)
        check_count("keys", keys, 2, len(COLOURS))
        self.delay = delay
        self.turn_limit = delay + 1
        self._colours = COLOURS[:keys]
        self._takes = {f"take the {colour} key": colour for colour in self._colours}
        self._answers = _answers(delay)
        self.instructions = _instructions(delay, self._colours)
        self._right = 0
        self._fits = False
        self._position = 0

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        wanted = options.get("key")
        if wanted is None:
            self._right = int(task.integers(len(self._colours)))
        elif wanted in self._colours:
            self._right = self._colours.index(wanted)
        else:
            raise ValueError(
                f"options['key'] = {wanted!r}; expected a colour on the table, one of "
                f"{list(self._colours)}"
            )
        self._fits, self._position = False, 0
        return self._table(self._right)

    def _table(self, right: int) -> str:
        listed = f"{', '.join(self._colours[:-1])} and {self._colours[-1]}"
        return (
            f"On a table lie {len(self._colours)} keys: {listed}. "
            f"A sign says: the {self._colours[right]} key opens the door."
        )

    def _play(self, action: str) -> Outcome:
        meant = self._takes.get(action) or _MEANINGS.get(action) or parse_action(action)
        if self._position == 0:
            if meant not in self._colours:
                return self._stray(_CHOOSE, self._why(meant))
            self._fits = meant == self._colours[self._right]
        elif meant not in DISTRACTORS:
            return self._stray(_AMBLE, "malformed" if meant is None else "inadmissible")
        outcome = self._answers[self._fits][self._position]
        self._position += 1
        return outcome

    def _why(self, meant: str | None) -> str:
        if meant is None:
            return "malformed"
        return "inadmissible" if meant in DISTRACTORS else "unknown"

    def _stray(self, sentence: str, error: str) -> Outcome:
        """An invalid action: the walk goes on, unless it ends the game."""
        outcome = self._invalid(error, f"{sentence} {_OVER}", penalty=INVALID_REWARD)
        if outcome.terminated:
            return outcome
        passed = self._answers[self._fits][self._position]
        self._position += 1
        return replace(
            outcome,
            observation=f"{sentence} {passed.observation}",
            reward=outcome.reward + passed.reward,
            terminated=passed.terminated,
            success=passed.success,
        )

    def _save(self) -> dict[str, Any]:
        return {"right": self._right, "fits": self._fits, "position": self._position}

    def _load(self, state: Any) -> None:
        self._right, self._position = int(state["right"]), int(state["position"])
        self._fits = bool(state["fits"])

    def admissible_actions(self) -> list[str]:
        """Taking any of the keys at the table; the three distractors in the corridor."""
        return list(self._takes) if self._position == 0 else list(DISTRACTORS)

    def expert_action(self) -> str:
        """The key that the sign names, then walking on: fair."""
        return WALK if self._position else f"take the {self._colours[self._right]} key"

    def progress(self) -> float:
        """The share of the turns that have passed, with the right key; 0 without it."""
        return self._position / (self.delay + 1) if self._fits else 0.0

    def state_key(self) -> str:
        """The right colour at the table; then the steps taken and whether the key fits."""
        if self._position == 0:
            return f"0 {self._colours[self._right]}"
        return f"{self._position} {'right' if self._fits else 'wrong'}"

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Each of the keys is the right one, equally likely."""
        return [
            (
                1 / len(self._colours),
                self._start_snapshot(
                    {"right": right, "fits": False, "position": 0}, self._table(right)
                ),
            )
            for right in range(len(self._colours))
        ]


def _instructions(delay: int, colours: tuple[str, ...]) -> str:
    corridor = (
        f" Then you walk along a corridor for {delay} turn{'s' if delay > 1 else ''}: answer "
        f"{', '.join(DISTRACTORS[:-1])} or {DISTRACTORS[-1]}; each leads one step on."
    )
    return (
        "You stand at a table with keys; a door has to be opened with one of them. First take a "
        f"key: answer take the {colours[0]} key, or another colour.{corridor if delay else ''} "
        f"At the end the door opens if your key is the right one, which earns {OPEN_REWARD:g}.\n"
        f"Answer with one action and nothing else. Any other answer costs {-INVALID_REWARD:g}, and "
        "at the table it leaves you without a key."
    )


@lru_cache(maxsize=16)
def _answers(delay: int) -> dict[bool, tuple[Outcome, ...]]:
    """What a turn answers from each position, by whether the key fits."""
    on: list[Outcome] = []
    for left in range(delay, 0, -1):
        steps = "1 step" if left == 1 else f"{left} steps"
        on.append(Outcome(f"You are in the corridor. The door is {steps} away."))
    opened = Outcome("You are at the door. It opens.", OPEN_REWARD, terminated=True, success=True)
    shut = Outcome("You are at the door. It stays shut.", terminated=True)
    return {True: (*on, opened), False: (*on, shut)}
