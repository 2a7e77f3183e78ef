"""Random arithmetic: expressions, their evaluation one operation at a time, a parser of answers."""

from functools import lru_cache

import numpy as np

from lmenvs.core import TextEnv
from lmenvs.decoration import bare

Token = int | str
Expression = tuple[Token, ...]
"""Postfix: every sign stands behind its two operands, so (3 + 5) * 2 is (3, 5, "+", 2, "*")."""

OPERATIONS = "+-*"
LONGEST = 300  # characters of an answer; no result has half as many digits
SLIP_CHANCE = 0.2  # of the sloppy player, for each operation

_MINUS = str.maketrans({"−": "-", "–": "-"})


def apply(left: int, sign: str, right: int) -> int:
    """The result of one operation.

    >>> apply(3, "-", 5), apply(3, "*", 5)
    (-2, 15)
    """
    return left + right if sign == "+" else left - right if sign == "-" else left * right


def draw(generator: np.random.Generator, steps: int, largest: int, signs: str) -> Expression:
    """A random expression with so many operations on numbers from 1 to `largest`.

    Neighbours are joined in random order until one expression is left, so all shapes occur.
    """
    operands = generator.integers(1, largest + 1, size=steps + 1).tolist()
    picks = generator.integers(1 << 30, size=(2, steps)).tolist()
    parts: list[Expression] = [(operand,) for operand in operands]
    for place, sign in zip(*picks, strict=True):
        at = place % (len(parts) - 1)
        parts[at : at + 2] = [(*parts[at], *parts[at + 1], signs[sign % len(signs)])]
    return parts[0]


def next_operation(expression: Expression) -> int:
    """Where the sign stands that is carried out next: the first one. The operands are before it.

    >>> next_operation((3, 5, "+", 2, "*"))
    2
    """
    for place, token in enumerate(expression):
        if isinstance(token, str):
            return place
    return len(expression)


def carry_out(expression: Expression, place: int, result: int) -> Expression:
    """The expression after an operation, with the result that was given for it.

    >>> carry_out((3, 5, "+", 2, "*"), 2, 9)
    (9, 2, '*')
    """
    return (*expression[: place - 2], result, *expression[place + 1 :])


def value_of(expression: Expression) -> int:
    """The true value.

    >>> value_of((3, 5, "+", 2, "*"))
    16
    """
    values: list[int] = []
    for token in expression:
        if isinstance(token, int):
            values.append(token)
        else:
            right, left = values.pop(), values.pop()
            values.append(apply(left, token, right))
    return values[0]


def written(expression: Expression) -> str:
    """The expression as text, with brackets around every operation but the last.

    >>> written((3, 5, "+", -2, "*"))
    '(3 + 5) * -2'
    """
    texts: list[str] = []
    last = len(expression) - 1
    for place, token in enumerate(expression):
        if isinstance(token, int):
            texts.append(str(token))
        else:
            right, left = texts.pop(), texts.pop()
            text = f"{left} {token} {right}"
            texts.append(text if place == last else f"({text})")
    return texts[0]


def sizes_of(expression: Expression) -> tuple[int, ...]:
    """How many numbers each operation rests on, in the order in which they are carried out.

    >>> sizes_of((3, 5, "+", 2, 4, "-", "*"))
    (2, 2, 4)
    """
    waiting: list[int] = []
    sizes: list[int] = []
    for token in expression:
        if isinstance(token, int):
            waiting.append(1)
        else:
            sizes.append(waiting.pop() + waiting.pop())
            waiting.append(sizes[-1])
    return tuple(sizes)


@lru_cache(maxsize=64)
def limit_of(digits: int) -> int:
    """The least number with more digits than this."""
    return 10**digits


def candidates(left: int, sign: str, right: int, limit: int) -> list[str]:
    """The right result and usual slips (another operation, off by 1 or 10), smallest first."""
    result = apply(left, sign, right)
    found = {result, result - 10, result - 1, result + 1, result + 10}
    found |= {left + right, left - right, right - left, left * right}
    return [str(number) for number in sorted(found) if -limit < number < limit]


def parse_number(text: str) -> int | None:
    """The whole number that a text gives, or None; of several equations the last right side.

    Read are `42`, `-42`, `1,234`, `= 42`, `3 + 5 = 8` and `answer: 8`, however decorated
    (`decoration.bare`).

    >>> parse_number(" -1,234. "), parse_number("3 + 5 = **8**"), parse_number("8 or 9")
    (-1234, 8, None)
    """
    if len(text) > LONGEST:
        return None
    if text.isascii() and text.isdecimal():
        return int(text)  # nearly every answer of a player who does as told
    words = bare(text.rpartition("=")[2]).translate(_MINUS)
    for lead in ("the ", "answer", "result"):
        if words.startswith(lead):
            words = bare(words.removeprefix(lead).lstrip(" :").removeprefix("is "))
    sign = -1 if words.startswith("-") else 1
    number = words.lstrip() if sign == 1 else words[1:].lstrip()
    if "," in number:
        first, *groups = number.split(",")
        if not 1 <= len(first) <= 3 or any(len(group) != 3 for group in groups):
            return None
        number = "".join((first, *groups))
    return sign * int(number) if number.isascii() and number.isdecimal() else None


def sloppy(env: TextEnv, generator: np.random.Generator) -> str:
    """A dataset policy: what the expert says, but one answer in five is another candidate."""
    right = env.expert_action()
    others = [text for text in env.admissible_actions() or () if text != right]
    if others and generator.random() < SLIP_CHANCE:
        return others[int(generator.integers(len(others)))]
    return right
