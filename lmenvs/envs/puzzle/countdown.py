"""Countdown: reach a target number with the given numbers and + - * /."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from lmenvs.arguments import check_choice, check_count
from lmenvs.core import NoExactModel, OnInvalid, Outcome, Snapshot, TextEnv
from lmenvs.splits import Split, check_split, split_of

from .countdown_puzzles import FEWEST, MOST, Item, check_items, content, draw, in_split, pool_of
from .countdown_rules import Numbers, combine, evaluate, expression_of, moves, parse_step, plan
from .pools import MOST_POOLED

SOLVED_REWARD = 1.0
INVALID_REWARD = -0.1
LEAST_LARGEST, MOST_LARGEST = 10, 100

Mode = Literal["stepwise", "expression"]
MODES: tuple[Mode, ...] = ("stepwise", "expression")

_WHY = {
    "malformed": "That cannot be read.",
    "unknown": "A number in it is not there, or not often enough.",
    "inadmissible": "That is not allowed, or miscalculated.",
}


class Countdown(TextEnv):
    """Reach a target number with the given numbers, each used once at most.

    Description:
        A puzzle gives some numbers and a target. With `mode="stepwise"` a turn combines two of the
        numbers into a new one, which takes their place; the puzzle is solved as soon as the target
        is there. With `mode="expression"` a turn is a whole expression. Every puzzle can be solved,
        but a step can make it unsolvable; the player is not told.

    Actions:
        Stepwise: `a op b` with two of the numbers that are left, such as `7 * 3`; the result must
        be a positive whole number. Expression: numbers, + - * / and brackets, such as
        `(7 - 3) * 2`; results on the way may be fractions or negative. A result behind either
        (`7 * 3 = 21`) is checked and may be left out. `×`, `x`, `÷` and `−` are read too, quotes
        and a full stop passed over. Unreadable text is `malformed`, a number that is not there
        `unknown`, a result that is not allowed (or stated wrongly, or divided by zero)
        `inadmissible`. An invalid action changes nothing and uses its turn.

    Observations:
        `Numbers: 3 5 7. Target: 22.` after every turn; an invalid action is answered by a sentence
        in front of it, a wrong expression by its value.

    Rewards:
        +1 for the target, 0 otherwise; -0.1 for an invalid action under `on_invalid="penalise"`
        (the default) and "terminate", 0 under "noop".

    Episode end:
        Terminated when the target is reached (success), when one other number is left (failure),
        and at the turn limit: stepwise twice as many turns as a puzzle has steps, for expressions
        `tries`. Never truncated.

    Arguments:
        numbers: How many, 2 to 6.
        largest: Numbers are drawn from 1 to this, 10 to 100; targets lie between 10 and 100.
        mode: "stepwise" or "expression".
        tries: Expressions that may be tried in mode "expression", each answered by its value.
        pool: How many puzzles there are over both splits, the first of a fixed series, at most
            10,000; None makes a new one for every seed, and then no start states can be listed.
        items: Your own puzzles, `[[[3, 5, 7], 22], ...]`, in place of the generated ones.
        split: "all", "train" or "test", by the content of a puzzle.

    Capability:
        Arithmetic, search, looking ahead.

    Source:
        The numbers round of the television game Countdown, as used by TinyZero (Pan et al., 2025)
        and by Gandhi et al. (2025, four habits). They ask for one expression that uses every number
        once and score it in floating point; here a number may be left out and values are exact.

    References:
        Behind +- a standard error. Measured by python -m lmenvs.measuring lmenvs/Countdown-v0
        Countdown-v0
            min 0: no legal play does worse
            average 0.027919 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 999
        Countdown-v0?numbers=3
            min 0: no legal play does worse
            average 0.074386 +- 0: exact, uniform over legal actions
            max 1 +- 0: exact, with everything seen
            expert 1 +- 0: the expert, seeds 0 to 999
        Countdown-v0?mode=expression
            min 0: no legal play does worse
            max 1: every task can be solved, by the rules
            average 0.0221 +- 0.0015: random_expression policy, seeds 0 to 9999
            expert 1 +- 0: the expert, seeds 0 to 999

    Version history:
        v0: first version.
    """

    def __init__(
        self,
        numbers: int = 4,
        largest: int = 20,
        mode: Mode = "stepwise",
        tries: int = 1,
        pool: int | None = 256,
        items: Sequence[Sequence[Any]] | None = None,
        split: Split = "all",
        *,
        on_invalid: OnInvalid = "penalise",
        admissible_info: bool = False,
        render_mode: str | None = None,
    ):
        super().__init__(
            on_invalid=on_invalid, admissible_info=admissible_info, render_mode=render_mode
        )
        check_count("numbers", numbers, FEWEST, MOST)
        check_count("largest", largest, LEAST_LARGEST, MOST_LARGEST)
        check_count("tries", tries, 1, 1000)
        check_choice("mode", mode, MODES)
        if pool is not None:
            check_count("pool", pool, 1, MOST_POOLED)
        self.mode: Mode = mode
        self.split = check_split(split)
        self._count, self._largest = numbers, largest
        self._items: tuple[Item, ...] | None = None
        if items is not None:
            self._items = in_split(check_items(items), self.split)
            self._count = max(len(item[0]) for item in self._items)
        elif pool is not None:
            self._items = in_split(pool_of(numbers, largest, pool), self.split)
        self.turn_limit = tries if mode == "expression" else 2 * (self._count - 1)
        self.instructions = _instructions(mode, self.turn_limit)
        self._numbers, self._target = (1, 2), 3
        self._steps = 0

    def _begin(self, task: np.random.Generator, options: Mapping[str, Any]) -> str:
        self._numbers, self._target = self._draw(task)
        self._steps = 0
        return _text(self._numbers, self._target)

    def _draw(self, task: np.random.Generator) -> Item:
        if self._items is not None:
            return self._items[int(task.integers(len(self._items)))]
        while True:
            item = draw(task, self._count, self._largest)
            if self.split == "all" or split_of(content(item)) == self.split:
                return item

    def _play(self, action: str) -> Outcome:
        if self.mode == "expression":
            return self._judge(action)
        after = moves(self._numbers).get(action)
        if after is None:
            after = _after(self._numbers, action)
        if isinstance(after, str):
            return self._refuse(after)
        self._numbers = after
        self._steps += 1
        return _reached(after, self._target)

    def _judge(self, action: str) -> Outcome:
        value = evaluate(action, self._numbers)
        if isinstance(value, str):
            return self._refuse(value)
        if value == self._target:
            self._steps = 1
            text = f"That is {self._target}, the target."
            return Outcome(text, reward=SOLVED_REWARD, terminated=True, success=True)
        text = f"That is {value}, not {self._target}."
        return Outcome(f"{text} {_text(self._numbers, self._target)}")

    def _refuse(self, error: str) -> Outcome:
        text = f"{_WHY[error]} {_text(self._numbers, self._target)}"
        return self._invalid(error, text, penalty=INVALID_REWARD)

    def _at_limit(self, outcome: Outcome) -> Outcome:
        text = f"{outcome.observation} No turns are left."
        return replace(outcome, observation=text, terminated=True)

    @property
    def _solved(self) -> bool:
        return self._target in self._numbers if self.mode == "stepwise" else self._steps > 0

    def _save(self) -> dict[str, Any]:
        return {"numbers": self._numbers, "target": self._target, "steps": self._steps}

    def _load(self, state: Any) -> None:
        self._numbers = tuple(int(number) for number in state["numbers"])
        self._target, self._steps = int(state["target"]), int(state["steps"])

    def admissible_actions(self) -> list[str] | None:
        """Stepwise every step that is allowed; None in mode "expression"."""
        if self.mode == "expression":
            return None
        return [] if self._solved else list(moves(self._numbers))

    def expert_action(self) -> str:
        """The first step of a shortest solution, or the whole of it as an expression: fair.

        Where the target is out of reach it takes any step.
        """
        steps = plan(self._numbers, self._target)
        if self.mode == "expression":
            return expression_of(self._numbers, steps or ())
        return steps[0] if steps else next(iter(moves(self._numbers)), "")

    def random_expression(self, generator: np.random.Generator) -> str:
        """An expression of all the numbers, from random steps; for the mode "expression"."""
        left, steps = self._numbers, list[str]()
        while len(left) > 1:
            choices = list(moves(left).items())
            step, left = choices[int(generator.integers(len(choices)))]
            steps.append(step)
        return expression_of(self._numbers, steps)

    def progress(self) -> float:
        """Steps taken of the steps that are needed in all; 0.0 once the target is out of reach."""
        if self._solved:
            return 1.0
        if self.mode == "expression":
            return 0.0
        steps = plan(self._numbers, self._target)
        return 0.0 if steps is None else self._steps / (self._steps + len(steps))

    def state_key(self) -> str:
        """The numbers that are left and the target; behind an expression, whether it was right."""
        key = content((self._numbers, self._target))
        return f"{key} solved" if self.mode == "expression" and self._solved else key

    def start_states(self) -> list[tuple[float, Snapshot]]:
        """Every puzzle of the split, equally likely; needs `pool` or `items`."""
        if self._items is None:
            raise NoExactModel("pool=None has no list of start states; give pool=N or items=[...]")
        return [
            (
                1 / len(self._items),
                self._start_snapshot(
                    {"numbers": numbers, "target": target, "steps": 0}, _text(numbers, target)
                ),
            )
            for numbers, target in self._items
        ]


def random_expression(env: TextEnv, generator: np.random.Generator) -> str:
    """A dataset policy for the mode "expression": all the numbers in random steps."""
    assert isinstance(env, Countdown)
    return env.random_expression(generator)


def _after(numbers: Numbers, action: str) -> Numbers | str:
    """The numbers after a step written in any way, or the category of the error."""
    step = parse_step(action)
    if isinstance(step, str):
        return step
    left, sign, right = step
    rest = list(numbers)
    for number in (left, right):
        if number not in rest:
            return "unknown"
        rest.remove(number)
    result = combine(left, sign, right)
    return "inadmissible" if result is None else tuple(sorted((*rest, result)))


def _text(numbers: Numbers, target: int) -> str:
    return f"Numbers: {' '.join(map(str, numbers))}. Target: {target}."


@lru_cache(maxsize=8192)
def _reached(numbers: Numbers, target: int) -> Outcome:
    """What a step that leads to these numbers answers."""
    text = _text(numbers, target)
    if target in numbers:
        text = f"{text} You have reached it."
        return Outcome(text, reward=SOLVED_REWARD, terminated=True, success=True)
    if len(numbers) == 1:
        return Outcome(f"{text} You have missed it.", terminated=True)
    return Outcome(text)


def _instructions(mode: Mode, limit: int) -> str:
    task = "You are given numbers and a target. Reach the target with +, -, * and /"
    if mode == "stepwise":
        return (
            f"{task}: each turn combines two of the numbers into a new one, which takes their "
            "place. A result must be a positive whole number, and not every number has to be "
            f"used. You have {limit} turns.\n"
            "Answer with one step and nothing else, such as: 7 * 3"
        )
    tries = "one try" if limit == 1 else f"{limit} tries"
    return (
        f"{task} and brackets, using each number once at most. You have {tries}.\n"
        "Answer with one expression and nothing else, such as: (7 - 3) * 2"
    )
