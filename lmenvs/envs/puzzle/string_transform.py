"""StringTransform: apply composed functions to a string, one a turn or all at once."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from lmenvs.arguments import check_choice, check_count, check_flag
from lmenvs.core import NoExactModel, OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.splits import Split, check_split, split_of

from .pools import MOST_POOLED, first_different
from .string_functions import (
    FUNCTIONS,
    GROWTH,
    MEANINGS,
    NAMES,
    Composition,
    applied,
    candidates,
    content,
    parse_letters,
    written,
)

INVALID_REWARD = -0.1
MOST_DEPTH, MOST_LENGTH = 6, 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Mode = Literal["stepwise", "whole"]
MODES: tuple[Mode, ...] = ("stepwise", "whole")
Reward = Literal["sparse", "dense"]
REWARDS: tuple[Reward, ...] = ("sparse", "dense")
Item = tuple[Composition, str]
"""A task: the functions in the order of application, and the string they begin with."""


class StringTransform(TextEnv):
    """Apply a composition of named functions to a string, one function each turn.

    Description:
        Twelve functions on strings of letters are named f1 to f12, for ever the same. A task
        composes some of them. With `mode="stepwise"` each turn asks for one function and goes on
        with the string that the player gave, right or wrong: a slip is not told, and shows only in
        the reward. With `mode="whole"` the only turn asks for the final string.

    Actions:
        The string: `abc`, `f1(cba) = abc` or `answer: abc`, in any case, in quotes or asterisks,
        with a full stop or not (see `parse_letters`). Anything else is `malformed`, and so is a
        string longer than any result can be; it changes nothing and uses its turn.

    Observations:
        `Left to do: f2(f1(abcd)). Now: f1(abcd) = ?` (stepwise) or `f2(f1(abcd)) = ?` (whole); an
        invalid action is answered by a sentence in front of it. The last observation tells whether
        all was right.

    Rewards:
        `reward="sparse"`: 1 with the last function if all of them were applied rightly, otherwise
        0. "dense": 1 / depth for every function applied rightly to the string it was asked for; in
        mode "whole" the same as "sparse". An invalid action gets -0.1 under
        `on_invalid="penalise"` (the default) and "terminate", 0 under "noop".
        `info["optimal_actions"]` (privileged) is the right answer of the turn.

    Episode end:
        Terminated with the last function; success if all were right. Terminated without success
        after twice as many turns as functions, in mode "whole" after one turn. Never truncated.

    Arguments:
        depth: Functions in a composition, 1 to 6.
        length: Letters of the string they begin with, 2 to 16.
        describe: Whether the instructions say what the functions do. If not, a player has to know
            them from earlier episodes.
        mode: "stepwise" or "whole".
        reward: "sparse" or "dense".
        pool: How many tasks there are over both splits, the first of a fixed series, at most
            10,000; None makes a new one for every seed, and then no start states can be listed.
        split: "all", "train" or "test", by the composition (the functions and their order), so that
            "test" has only compositions that "train" never shows.

    Capability:
        Composing skills that are known one by one; being right many times in a row.

    Source:
        The string functions of Yuan et al. (2025, "From f(x) and g(x) to f(g(x))"): hidden names,
        nesting depth, held-out compositions. They have 25 functions and one turn; these twelve
        functions, the turns and the texts are this project's.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/StringTransform-v0
        StringTransform-v0
            min 0: no legal play does worse
            average 0.499 +- 0.016: sloppy policy, seeds 0 to 999
            uniform 0.0006251 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 999
        StringTransform-v0?mode=whole
            min 0: no legal play does worse
            average 0.795 +- 0.013: sloppy policy, seeds 0 to 999
            uniform 0.086547 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        depth: int = 3,
        length: int = 5,
        describe: bool = True,
        mode: Mode = "stepwise",
        reward: Reward = "sparse",
        pool: int | None = 256,
        split: Split = "all",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_count("depth", depth, 1, MOST_DEPTH)
        check_count("length", length, 2, MOST_LENGTH)
        check_flag("describe", describe)
        check_choice("mode", mode, MODES)
        check_choice("reward", reward, REWARDS)
        if pool is not None:
            check_count("pool", pool, 1, MOST_POOLED)
        self.mode: Mode = mode
        self.reward: Reward = reward
        self.split = check_split(split)
        self._depth, self._length = depth, length
        self._items = None if pool is None else _pool(depth, length, pool, self.split)
        self.turn_limit = 2 * depth if mode == "stepwise" else 1
        self.instructions = _instructions(mode, describe, self.turn_limit)
        self._left: Composition = (0,)
        self._text, self._answer = "ab", "ba"
        self._right = 0

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        if self._items is not None:
            self._left, self._text = self._items[int(task.integers(len(self._items)))]
        else:
            self._left, self._text = _draw(task, self._depth, self._length)
            while self.split != "all" and split_of(content(self._left)) != self.split:
                self._left, self._text = _draw(task, self._depth, self._length)
        self._answer = applied(self._left, self._text)
        self._right = 0
        return self._question()

    def _question(self) -> str:
        return _question(self.mode, self._left, self._text)

    def _wanted(self) -> str:
        """The right answer to what is asked now."""
        return self._answer if self.mode == "whole" else FUNCTIONS[self._left[0]](self._text)

    def _most(self) -> int:
        """The most letters that an answer can have now: a rule, so that strings stay short."""
        taken = self._depth - len(self._left)
        turns = self._depth if self.mode == "whole" else taken + 1
        return self._length * GROWTH**turns

    def _play(self, action: str) -> Outcome:
        most, wanted = self._most(), self._wanted()
        given = parse_letters(action, most)
        if given is None:
            text = f"That is not one string of 1 to {most} letters. {self._question()}"
            outcome = self._invalid("malformed", text, penalty=INVALID_REWARD)
            return replace(outcome, optimal_actions=(wanted,))
        is_right = given == wanted
        self._text = given
        if self.mode == "whole":
            self._left = ()
            self._right = self._depth * is_right
        else:
            self._left = self._left[1:]
            self._right += is_right
        share = is_right / self._depth if self.reward == "dense" else 0.0
        if self._left:
            return Outcome(self._question(), reward=share, optimal_actions=(wanted,))
        return self._end(share, wanted)

    def _end(self, share: float, wanted: str) -> Outcome:
        success = self._right == self._depth
        verdict = "All of it is right." if success else "Not all of it is right."
        stepwise_dense = self.reward == "dense" and self.mode == "stepwise"
        return Outcome(
            f"Your result is {self._text}. {verdict}",
            reward=share if stepwise_dense else float(success),
            terminated=True,
            success=success,
            optimal_actions=(wanted,),
        )

    def _at_limit(self, outcome: Outcome) -> Outcome:
        text = f"{outcome.observation} No turns are left."
        return replace(outcome, observation=text, terminated=True)

    def _save(self) -> dict[str, Any]:
        return _state(self._left, self._text, self._answer, self._right)

    def _load(self, state: Any) -> None:
        self._left, self._text = tuple(state["left"]), str(state["text"])
        self._answer, self._right = str(state["answer"]), int(state["right"])

    def admissible_actions(self) -> list[str]:
        """What each function would give now (in mode "whole" as the last one), in alphabetical
        order; other strings of letters are valid too.
        """
        if not self._left:
            return []
        if self.mode == "whole":
            return list(candidates(applied(self._left[:-1], self._text)))
        return list(candidates(self._text))

    def expert_action(self) -> str:
        """The right string: fair, given what the functions do."""
        return self._wanted() if self._left else ""

    def progress(self) -> float:
        """The share of the functions that were applied rightly."""
        return self._right / self._depth

    def answer(self) -> str:
        """The right final string."""
        return self._answer

    def state_key(self) -> str:
        """What is left to do and how many functions were applied rightly."""
        return f"{written(self._left, self._text)} | {self._right} of {self._depth}"

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Every task of the split, equally likely; needs `pool`."""
        if self._items is None:
            raise NoExactModel("pool=None has no list of start states; give pool=N")
        return [
            (
                1 / len(self._items),
                self._start_snapshot(
                    _state(composition, text, applied(composition, text), 0),
                    _question(self.mode, composition, text),
                ),
            )
            for composition, text in self._items
        ]


def _state(left: Composition, text: str, answer: str, right: int) -> dict[str, Any]:
    return {"left": left, "text": text, "answer": answer, "right": right}


def _question(mode: Mode, left: Composition, text: str) -> str:
    asked = written(left, text)
    if mode == "whole":
        return f"{asked} = ?"
    return f"Left to do: {asked}. Now: {NAMES[left[0]]}({text}) = ?"


def _draw(generator: np.random.Generator, depth: int, length: int) -> Item:
    composition = tuple(generator.integers(len(NAMES), size=depth).tolist())
    letters = generator.integers(len(LETTERS), size=length).tolist()
    return composition, "".join(LETTERS[letter] for letter in letters)


@lru_cache(maxsize=32)
def _pool(depth: int, length: int, size: int, split: Split) -> tuple[Item, ...]:
    """The tasks of a split among the first `size` different ones of a fixed series."""
    generator = np.random.default_rng((depth, length))
    found = first_different(lambda: _draw(generator, depth, length), size)
    chosen = tuple(i for i in found if split == "all" or split_of(content(i[0])) == split)
    if not chosen:
        raise ValueError(f"split={split!r} holds none of pool={size} tasks; give a larger pool")
    return chosen


def _instructions(mode: Mode, describe: bool, limit: int) -> str:
    turns = "" if mode == "whole" else ", one function each turn"
    text = f"Apply functions to a string of letters, the innermost first{turns}."
    if mode == "stepwise":
        text += (
            " The next turn goes on with the string that you gave, so every one has to be right; "
            f"only at the end you learn whether they were. You have {limit} turns."
        )
    if describe:
        meanings = zip(NAMES, MEANINGS, strict=True)
        text += "\n" + "\n".join(f"{name} {meaning}." for name, meaning in meanings)
    return f"{text}\nAnswer with the resulting string and nothing else."
