"""RandomCalculation: arithmetic that no model has seen, one operation a turn or the whole."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from lmenvs.arguments import check_choice, check_count
from lmenvs.core import OnInvalid, Outcome, TextEnv
from lmenvs.splits import Split, check_split, split_of

from .calculation_rules import (
    OPERATIONS,
    Expression,
    apply,
    candidates,
    carry_out,
    draw,
    limit_of,
    next_operation,
    parse_number,
    sizes_of,
    value_of,
    written,
)

INVALID_REWARD = -0.1
MOST_STEPS, MOST_DIGITS = 20, 6

Mode = Literal["stepwise", "whole"]
MODES: tuple[Mode, ...] = ("stepwise", "whole")
Reward = Literal["sparse", "dense"]
REWARDS: tuple[Reward, ...] = ("sparse", "dense")


class RandomCalculation(TextEnv):
    """Carry out the operations of a random expression, one each turn.

    Description:
        Every seed makes a new expression, so nothing can have been memorised. With
        `mode="stepwise"` each turn asks for one operation and goes on with the number that the
        player gave, right or wrong: a slip is not told, and shows only in the reward. With
        `mode="whole"` the only turn asks for the value.

    Actions:
        A whole number: `42`, `-1,234`, `3 + 5 = 8` or `answer: 8`, in quotes or asterisks, with a
        full stop or not (see `parse_number`). Anything else is `malformed`, and so is a number with
        more digits than any result can have; it changes nothing and uses its turn.

    Observations:
        `Left to do: (3 + 5) * 2. Now: 3 + 5 = ?` (stepwise) or `(3 + 5) * 2 = ?` (whole); an
        invalid action is answered by a sentence in front of it. The last observation tells whether
        all was right.

    Rewards:
        `reward="sparse"`: 1 with the last operation if all of them were right, otherwise 0.
        "dense": 1 / steps for every operation that is right on the numbers it was asked for; in
        mode "whole" a wrong value gets (1 - min(1, error / max(1, |value|))) / 2. An invalid action
        gets -0.1 under `on_invalid="penalise"` (the default) and "terminate", 0 under "noop".
        `info["optimal_actions"]` (privileged) is the right answer of the turn.

    Episode end:
        Terminated with the last operation; success if all were right. Terminated without success
        after twice as many turns as operations, in mode "whole" after one turn. Never truncated.

    Arguments:
        steps: Operations, 1 to 20.
        digits: Numbers have up to so many digits, 1 to 6.
        operations: Which occur: some of the signs in "+-*", each as often as it should count.
        mode: "stepwise" or "whole".
        reward: "sparse" or "dense".
        split: "all", "train" or "test", by the text of the expression.

    Capability:
        Arithmetic; being right many times in a row. An exact check of trainers: only a true reward
        can help here. `lmenvs.exact` does not solve it: any number may be said in any turn, too
        many states.

    Source:
        RandomCalculation (Wu et al., 2025, "Reasoning or Memorization?"), whose expressions also
        have fractions, divisions, squares and cubes and are answered at once; whole numbers, the
        turns and the graded reward are this project's.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring
        lmenvs/RandomCalculation-v0
        RandomCalculation-v0
            min 0: no legal play does worse
            max 1: every task can be solved, by the rules
            average 0.4 +- 0.015: sloppy policy, seeds 0 to 999
            uniform 0.0004 +- 0.0002: uniform over legal actions, seeds 0 to 9999
            expert 1 +- 0: the expert, seeds 0 to 999
        RandomCalculation-v0?mode=whole
            min 0: no legal play does worse
            max 1: every task can be solved, by the rules
            average 0.795 +- 0.013: sloppy policy, seeds 0 to 999
            uniform 0.1409 +- 0.0035: uniform over legal actions, seeds 0 to 9999
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        steps: int = 4,
        digits: int = 2,
        operations: str = OPERATIONS,
        mode: Mode = "stepwise",
        reward: Reward = "sparse",
        split: Split = "all",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_count("steps", steps, 1, MOST_STEPS)
        check_count("digits", digits, 1, MOST_DIGITS)
        if not isinstance(operations, str) or not re.fullmatch(r"[-+*]{1,9}", operations):
            raise ValueError(f"operations={operations!r}; expected one to nine of the signs in +-*")
        check_choice("mode", mode, MODES)
        check_choice("reward", reward, REWARDS)
        self.mode: Mode = mode
        self.reward: Reward = reward
        self.split = check_split(split)
        self._steps, self._digits, self._signs = steps, digits, operations
        self.turn_limit = 2 * steps if mode == "stepwise" else 1
        self.instructions = _instructions(mode, self.turn_limit)
        self._take((1, 1, "+"))

    def _take(self, expression: Expression) -> None:
        """Begin with an expression."""
        self._left = expression
        self._place = next_operation(expression)
        self._sizes = sizes_of(expression)
        self._value = value_of(expression)
        self._done = self._right = 0

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        largest = limit_of(self._digits) - 1
        while True:
            expression = draw(task, self._steps, largest, self._signs)
            if self.split == "all" or split_of(written(expression)) == self.split:
                break
        self._take(expression)
        return self._question()

    @property
    def _over_all(self) -> bool:
        return len(self._left) == 1

    def _question(self) -> str:
        text = written(self._left)
        if self.mode == "whole":
            return f"{text} = ?"
        left, right, sign = self._left[self._place - 2 : self._place + 1]
        return f"Left to do: {text}. Now: {left} {sign} {right} = ?"

    def _wanted(self) -> int:
        """The right answer to what is asked now."""
        if self.mode == "whole":
            return self._value
        left, right, sign = self._left[self._place - 2 : self._place + 1]
        return apply(int(left), str(sign), int(right))

    def _limit(self) -> int:
        size = self._sizes[-1] if self.mode == "whole" else self._sizes[self._done]
        return limit_of(self._digits * size)

    def _play(self, action: str) -> Outcome:
        given = parse_number(action)
        limit, wanted = self._limit(), self._wanted()
        if given is None or not -limit < given < limit:
            why = "That is not one whole number." if given is None else "That has too many digits."
            text = f"{why} {self._question()}"
            outcome = self._invalid("malformed", text, penalty=INVALID_REWARD)
            return replace(outcome, optimal_actions=(str(wanted),))
        is_right = given == wanted
        self._right += is_right
        if self.mode == "whole":
            self._left, self._done = (given,), self._steps
            return self._end(is_right, _closeness(given, wanted), wanted)
        self._left = carry_out(self._left, self._place, given)
        self._done += 1
        share = is_right / self._steps if self.reward == "dense" else 0.0
        if self._over_all:
            return self._end(self._right == self._steps, share, wanted)
        self._place = next_operation(self._left)
        return Outcome(self._question(), reward=share, optimal_actions=(str(wanted),))

    def _end(self, success: bool, share: float, wanted: int) -> Outcome:
        verdict = "All of it is right." if success else "Not all of it is right."
        return Outcome(
            f"Your result is {self._left[0]}. {verdict}",
            reward=share if self.reward == "dense" else float(success),
            terminated=True,
            success=success,
            optimal_actions=(str(wanted),),
        )

    def _at_limit(self, outcome: Outcome) -> Outcome:
        text = f"{outcome.observation} No turns are left."
        return replace(outcome, observation=text, terminated=True)

    def _save(self) -> dict[str, Any]:
        return {
            "left": self._left,
            "sizes": self._sizes,
            "value": self._value,
            "done": self._done,
            "right": self._right,
        }

    def _load(self, state: Any) -> None:
        self._left = tuple(state["left"])
        self._place = next_operation(self._left)
        self._sizes = tuple(state["sizes"])
        self._value, self._done, self._right = state["value"], state["done"], state["right"]

    def admissible_actions(self) -> list[str]:
        """The right result among usual slips, smallest first; other whole numbers are valid too."""
        if self._over_all:
            return []
        if self.mode == "whole":
            near = (self._value + slip for slip in (-10, -2, -1, 0, 1, 2, 10))
            return [str(number) for number in near if abs(number) < self._limit()]
        left, right, sign = self._left[self._place - 2 : self._place + 1]
        return candidates(int(left), str(sign), int(right), self._limit())

    def expert_action(self) -> str:
        """The result of what is asked: fair, since nothing is hidden."""
        return "" if self._over_all else str(self._wanted())

    def progress(self) -> float:
        """The share of the operations that were carried out and right."""
        if self.mode == "whole":
            return float(self._right)
        return self._right / self._steps

    def answer(self) -> str:
        """The value of the whole expression."""
        return str(self._value)

    def state_key(self) -> str:
        """What is left to do, the length that answers may have, and how many were right."""
        sizes = ",".join(map(str, self._sizes[self._done :]))
        return f"{written(self._left)} | {sizes} | {self._right} of {self._done}"


def _closeness(given: int, wanted: int) -> float:
    """1 for the right value, at most a half for another: less, the further away it is."""
    if given == wanted:
        return 1.0
    # whole numbers first: a quotient of two large ones may not fit a float
    error, size = abs(given - wanted), max(1, abs(wanted))
    return 0.0 if error >= size else 0.5 * (1.0 - error / size)


def _instructions(mode: Mode, limit: int) -> str:
    if mode == "whole":
        return "Calculate.\nAnswer with one whole number and nothing else."
    return (
        "Calculate an expression, one operation each turn. The next turn goes on with the number "
        "that you gave, so every one has to be right; only at the end you learn whether they were. "
        f"You have {limit} turns.\nAnswer with one whole number and nothing else."
    )
